package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/journal/files/powercut"
	"stockflow/processors"
)

// powerWorld is all of Stockflow on one disk that loses its power: the real journal, the real groups on goka, and their stores in
// LevelDB, in the bubble of a synctest, where time passes when everybody waits. Whoever appends and whatever is synced takes a
// while, by chance, so that anything may happen in between. What is found after a start is held against the folds of the logs alone, by
// the oracle of the simulation, whose people decide what is done, too.
//
// The same seed is nearly the same run: what happens at the same time happens in any order.
type powerWorld struct {
	sim    *world
	flaw   powerFlaw
	stats  *powerStats
	chance *chance
	clock  bubbleClock
	disk   *powercut.Disk // that the next life finds
	twin   *powercut.Disk // on which the stores are looked at: the same once more if the power went, or the same; nil for none yet

	slowOneIn int           // one in so many writes of the journal takes long
	flushes   chan struct{} // a store has written

	troubled func(number int) *powerTrouble // what goes wrong in a life that begins with a change of the disk; nil for nothing
	trouble  *powerTrouble                  // of this life, nil for none
	met      *troublesMet

	mu     sync.Mutex // guards what follows, and the people of sim
	told   map[broker.TopicPartition]map[int64]stored
	done   map[string]map[broker.TopicPartition]int64 // what groups have committed, as somebody outside has seen
	mailed map[errand]int
	wrong  error // the first thing that is not as it should be
	lives  int
}

// powerFlaw is a part of the protocol that is switched off.
type powerFlaw struct {
	engine      string // in the engine, by its name in engine.PowerFlaws
	answerEarly bool   // who writes is answered when the record is appended
	readEarly   bool   // who reads is shown what is appended
}

// chance may be asked by many at once.
type chance struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (c *chance) intN(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

// upTo returns a duration below d, which is often a small part of it.
func (c *chance) upTo(d time.Duration) time.Duration {
	return time.Duration(c.intN(int(d))) >> (2 * c.intN(5))
}

// bubbleClock runs with the time of the bubble.
type bubbleClock struct{ since time.Time }

func (c bubbleClock) Boot() time.Duration { return time.Since(c.since) }
func (c bubbleClock) Wall() time.Time     { return time.UnixMilli(1_800_000_000_000).Add(c.Boot()) }

const (
	powerJournal = "/data/journal"
	powerStores  = "/data/processors"
)

func newPowerWorld(seed uint64, f powerFlaw, stats *powerStats) *powerWorld {
	rng := rand.New(rand.NewPCG(seed, 12))
	s := shape{partitions: 1 + rng.Int32N(2), skus: 1 + rng.IntN(3), requests: 20 + rng.IntN(60)}
	w := &powerWorld{
		sim: newWorld(s, "", true, false), flaw: f, stats: stats, chance: &chance{rng: rng}, clock: bubbleClock{time.Now()},
		disk: powercut.New(), slowOneIn: 4 + rng.IntN(100), flushes: make(chan struct{}), told: map[broker.TopicPartition]map[int64]stored{}, done: map[string]map[broker.TopicPartition]int64{}, mailed: map[errand]int{},
	}
	w.sim.source.Seed(seed, 13)
	return w
}

// run lives some lives, lets the last one come to rest, and returns the first thing that is not as it should be.
func (w *powerWorld) run(lives int) error {
	defer time.Sleep(time.Minute) // a LevelDB that was closed has goroutines for a while
	for life := range lives {
		w.live(w.work, w.lose)
		if w.wrong != nil {
			return fmt.Errorf("life %d: %w", life, w.wrong)
		}
	}
	w.disk.CutAt(-1)
	w.live(w.rest, func() { w.disk = w.disk.Crash() })
	if w.wrong == nil {
		w.checkStores(w.disk, true)
	}
	return w.wrong
}

// live runs the process once: it opens the journal, looks at what is there, and does what do does. It ends as end does.
func (w *powerWorld) live(do func(*powerLife), end func()) {
	w.lives++
	disk := w.disk
	if w.trouble = nil; w.troubled != nil && !w.last() {
		w.trouble = w.troubled(disk.Changes())
	}
	disk.Inject(w.takeTime)
	j, err := journal.Open(powerJournal, journal.Options{
		Files: disk, Log: slog.New(slog.DiscardHandler), Clock: w.clock, Reserve: -1, TailBytes: 64 << 10, MaxTail: 512 << 10,
	})
	if err != nil {
		w.stats.count(&w.stats.opening)
		w.failed(disk, "open the journal", err)
		end()
		return
	}
	w.audit(j)
	w.checkStores(w.twin, false)
	l := newPowerLife(w, j, disk)
	if w.sound() && l.begin() {
		do(l)
	}
	if w.last() {
		l.stopOrderly()
	} else if w.chance.intN(5) == 0 {
		disk.CutAt(disk.Changes() + w.chance.intN(40))
		l.stopOrderly()
	}
	end()
	l.stop()
	l.running.Wait()
	_ = j.Close() // the power is off, or it is closed already
}

// last reports whether this life is the one that comes to rest.
func (w *powerWorld) last() bool { return w.lives > livesOfAWorld }

// sound reports whether everything is as it should be so far.
func (w *powerWorld) sound() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrong == nil
}

// fail says that something is not as it should be.
func (w *powerWorld) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
	}
}

// failed hears of an error. With power, it may only be that the disk took too long.
func (w *powerWorld) failed(d *powercut.Disk, what string, err error) {
	if !isOff(d) && !errors.Is(err, journal.ErrSilent) && !w.trouble.explains(err) {
		w.fail("%s: %w", what, err)
	}
}

func isOff(d *powercut.Disk) bool {
	select {
	case <-d.Off():
		return true
	default:
		return false
	}
}

// takeTime lets what the journal writes take a while, and notices that a store flushes.
func (w *powerWorld) takeTime(op powercut.Operation) powercut.Fault {
	if f, does := w.trouble.meets(op, w.met, w.chance); does {
		return f
	}
	if op.Kind == powercut.Write && strings.HasPrefix(op.Name, powerStores) {
		select {
		case w.flushes <- struct{}{}:
		default:
		}
	}
	if !op.DSync || !strings.HasPrefix(op.Name, powerJournal) {
		return powercut.Fault{}
	}
	d := w.chance.upTo(50 * time.Millisecond)
	if !w.last() && w.chance.intN(w.slowOneIn) == 0 {
		d = time.Duration(w.chance.intN(int(6 * time.Second))) // a store flushes meanwhile, or the journal says that the disk is silent
	}
	until := make(chan powercut.Fault)
	time.AfterFunc(d, func() { close(until) })
	return powercut.Fault{Until: until}
}

// work lets everybody do what they do until the power goes, or the process ends in another way.
func (w *powerWorld) work(l *powerLife) {
	for range 1 + w.chance.intN(3) {
		l.running.Go(l.client)
	}
	flushes := w.flushes
	if w.chance.intN(3) > 0 {
		flushes = nil // or else the power goes when a store has flushed
	}
	time.Sleep(w.chance.upTo(20 * time.Second))
	select {
	case <-l.disk.Off():
	case <-flushes:
	case <-time.After(w.chance.upTo(20 * time.Second)):
	}
}

// lose ends the process with the power, or, now and then, without it.
func (w *powerWorld) lose() {
	if w.chance.intN(6) == 0 && !isOff(w.disk) {
		w.stats.count(&w.stats.crashes)
		w.disk = w.disk.Crash()
		if w.twin = nil; w.chance.intN(2) == 0 {
			w.twin = w.disk
		}
	} else {
		w.stats.count(&w.stats.cuts)
		seed := uint64(w.chance.intN(1 << 30))
		before := w.disk
		w.disk = before.Cut(rand.New(rand.NewPCG(seed, 14)))
		w.twin = before.Cut(rand.New(rand.NewPCG(seed, 14)))
	}
	if w.chance.intN(4) > 0 {
		w.disk.CutAt(w.chance.intN([]int{30, 120, 500}[w.chance.intN(3)]))
	}
}

// powerLife is one life of the process.
type powerLife struct {
	w       *powerWorld
	disk    *powercut.Disk
	journal *journal.Journal
	outside broker.Broker // as people see it
	inside  broker.Broker // as the groups do
	writer  broker.Writer
	groups  []*engine.Group
	ctx     context.Context // ends with the life
	stop    context.CancelFunc
	running sync.WaitGroup
}

func newPowerLife(w *powerWorld, j *journal.Journal, d *powercut.Disk) *powerLife {
	local := broker.NewLocal(j)
	l := &powerLife{w: w, disk: d, journal: j, outside: local, inside: paced{local.Inside(), d, w.chance}}
	if w.flaw.readEarly {
		l.outside = local.Inside()
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

func (l *powerLife) failed(what string, err error) { l.w.failed(l.disk, what, err) }

// begin makes the topics and starts everything but the clients; false if that can't be.
func (l *powerLife) begin() bool {
	var all []broker.Topic
	for _, name := range topics {
		kind := broker.Log
		if strings.HasSuffix(name, "-table") {
			kind = broker.Table
		}
		all = append(all, broker.Topic{Name: name, Kind: kind})
	}
	partitions := l.w.sim.shape.partitions
	_, _, err := l.outside.Ensure(l.ctx, all, partitions)
	if err == nil {
		l.writer, err = l.writes()
	}
	if err != nil {
		l.failed("make the topics", err)
		return false
	}
	c := engine.Config{
		Conn: l.inside, Dir: powerStores, Files: l.disk, Partitions: partitions, Log: slog.New(setAside{l.w.stats}), Metrics: l.w.sim.metrics,
	}
	l.groups = []*engine.Group{
		engine.NewGroup(processors.Order(nil), c), engine.NewGroup(processors.Inventory(nil), c),
		engine.NewGroup(processors.Shipment(nil), c), engine.NewGroup(processors.Notification(nil), c),
	}
	for _, g := range l.groups {
		g.Weaken(l.w.flaw.engine)
		l.running.Go(func() {
			if err := g.Run(l.ctx); err != nil {
				l.failed("run a group", err)
			}
		})
	}
	l.running.Go(l.read)
	l.running.Go(l.sendMails)
	return true
}

func (l *powerLife) writes() (broker.Writer, error) {
	if l.w.flaw.answerEarly {
		p, err := l.inside.Producer(1 << 20)
		return hasty{p}, err
	}
	return l.outside.Writer()
}

// stopOrderly ends the process as a signal does.
func (l *powerLife) stopOrderly() {
	l.w.stats.count(&l.w.stats.stops)
	l.stop()
	l.running.Wait()
	if err := l.journal.Close(); err != nil {
		l.failed("close the journal", err)
	}
}
