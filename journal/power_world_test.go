package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"

	"stockflow/journal/files/powercut"
)

// world is a journal, those who use it, and a disk that loses its power, in the bubble of a synctest. One goroutine
// decides what happens next, by chance, and waits until all others have nothing left to do but to wait for it. So the same seed is
// nearly always the same run: calls that have waited for room go on in an order that it doesn't decide.
type world struct {
	rng     *rand.Rand
	options Options
	clock   *skippingClock
	truth   *truth
	stats   *powerStats
	lies    func(sync string) bool // which syncs do nothing; nil: none
	trouble *trouble               // what goes wrong; nil: nothing

	// Of one life of the process:
	disk    *powercut.Disk
	gate    *gate
	off     bool
	closing bool
	opening bool
	j       *Journal // nil until it is open
	calls   int      // of the journal, that haven't returned
	answers chan func()
	cursors map[TopicPartition]*Cursor

	producers []*client
	skips     int
	made      int // numbers what is made, so that no two things are the same
	err       error
}

// powerStats say what the cuts have met.
type powerStats struct {
	cuts, crashes, closes int
	opening               int // ends of a life while the journal was being opened
	lost                  int // entries that were appended, and not promised, and are gone
	kept                  int // entries that nobody was promised, and are there
	underWay              int // operations that were under way when the power went
	entries               int
	sealed, reused        int // files
	compacted             int // rows that were not there at a start any more
}

// missed says whether something that may happen has not.
func (s *powerStats) missed() bool {
	return slices.Contains([]int{s.crashes, s.closes, s.opening, s.lost, s.kept, s.underWay, s.sealed, s.reused, s.compacted}, 0)
}

func (s *powerStats) count(op powercut.Operation) {
	switch {
	case op.Kind == powercut.Create && strings.Contains(op.Name, sealedPrefix):
		s.sealed++
	case op.Kind == powercut.Rename && strings.Contains(op.Name, tailPrefix):
		s.reused++
	}
}

// skippingClock runs with the time of the bubble, and can go on by days in which nothing happens.
type skippingClock struct {
	since   time.Time
	skipped atomic.Int64 // of time.Duration
}

func (c *skippingClock) Boot() time.Duration {
	return time.Since(c.since) + time.Duration(c.skipped.Load())
}
func (c *skippingClock) Wall() time.Time { return time.UnixMilli(1_800_000_000_000).Add(c.Boot()) }

const powerDir = "/data/journal"

func newWorld(seed uint64, f flaws, stats *powerStats) *world {
	rng := rand.New(rand.NewPCG(seed, 12))
	clock := &skippingClock{since: time.Now()}
	tail := 16<<10 + 4096*rng.Int64N(5)
	return &world{
		rng: rng, clock: clock, truth: newTruth(), stats: stats, disk: powercut.New(),
		options: Options{
			Log: slog.New(slog.DiscardHandler), Clock: clock, Reserve: -1,
			TailBytes: tail, MaxTail: tail * (3 + rng.Int64N(3)),
			MaxAhead: 4<<10 + 4096*rng.Int64N(4), MaxRecent: 1 + 4096*rng.Int64N(8),
			flaws: f,
		},
	}
}

// run lives some lives, and returns the first thing that is not as it was promised.
func (w *world) run(lives int) error {
	for life := range lives {
		steps := 1 + w.rng.IntN(150)
		if w.rng.IntN(3) == 0 {
			steps = 1 + w.rng.IntN(20) // most of these end while the journal is being opened
		}
		w.live(steps)
		if w.err != nil {
			return fmt.Errorf("life %d: %w", life, w.err)
		}
	}
	w.trouble = nil
	w.live(50)
	return w.err
}

// live runs the process until a number of things has happened, and ends it.
func (w *world) live(steps int) {
	w.gate, w.off, w.closing, w.j, w.calls, w.answers = &gate{}, false, false, nil, 0, make(chan func(), 1000)
	w.cursors, w.opening = make(map[TopicPartition]*Cursor), true
	w.disk.Inject(w.gate.hold)
	w.options.Files = w.disk
	o := w.options
	w.call(func() func() {
		j, err := Open(powerDir, o)
		return func() { w.opened(j, err) }
	})
	for ; steps > 0 && w.err == nil && (w.opening || w.j != nil); steps-- {
		if w.opening {
			w.goOn()
		} else {
			w.step()
		}
	}
	if w.opening {
		w.stats.opening++
	}
	if w.trouble.happened() {
		w.checkTrouble()
	}
	w.end()
}

// call lets another goroutine call the journal. What call returns is done with the answer.
func (w *world) call(call func() func()) {
	w.calls++
	answers := w.answers
	go func() { answers <- call() }()
	w.settle()
}

// settle waits until nobody can go on by himself, and hears the answers.
func (w *world) settle() {
	for {
		synctest.Wait()
		select {
		case answer := <-w.answers:
			w.calls--
			answer()
		default:
			return
		}
	}
}

// wrong says that something is not as it should be.
func (w *world) wrong(err error) {
	if w.err == nil && err != nil {
		w.err = err
	}
}

// failed hears of a call that failed. With power and no trouble, that may only be because the disk took too long.
func (w *world) failed(what string, err error) {
	if !w.off && !errors.Is(err, ErrSilent) && !(w.closing && errors.Is(err, ErrClosed)) && !w.trouble.explains(err) {
		w.wrong(fmt.Errorf("%s: %w", what, err))
	}
}

func (w *world) opened(j *Journal, err error) {
	w.opening = false
	if err != nil {
		w.failed("open", err)
		return
	}
	w.j = j
	j.sealer.(*archiver).worth = 1
	before := len(w.truth.entries)
	promised := w.truth.search(w.truth.promised)
	w.wrong(w.truth.restart(j, w.clock.Wall()))
	w.stats.lost += before - len(w.truth.entries)
	w.stats.compacted += w.truth.gone
	w.stats.kept += len(w.truth.entries) - promised
	w.keepProducers()
}

// goOn lets one of the operations of the disk happen, or time pass if there is none.
func (w *world) goOn() {
	if waiting := w.gate.all(); len(waiting) == 0 {
		time.Sleep(time.Second)
	} else {
		h := waiting[w.rng.IntN(len(waiting))]
		f := w.trouble.with(h)
		f.Unsynced = f.Unsynced || w.lies != nil && h.sync != "" && w.lies(h.sync)
		if !h.hangs {
			w.stats.count(h.op)
			w.gate.letGo(h, f)
		}
	}
	w.settle()
}

// step lets one thing happen.
func (w *world) step() {
	if w.calls > 0 && w.calls > w.rng.IntN(6) || w.rng.IntN(3) == 0 {
		w.goOn()
		return
	}
	switch n := w.rng.IntN(20); {
	case n < 9:
		w.append()
	case n < 12:
		w.commit()
	case n < 14:
		w.produce()
	case n < 17:
		w.look()
	case n < 18:
		w.wait(w.j.Appended())
	case n < 19:
		w.createTopic()
	default:
		w.pass()
	}
}

// pass lets time pass: some, or, a few times, a day, in which everybody reads on to the end.
func (w *world) pass() {
	if w.rng.IntN(2) == 0 && w.skips < 5 {
		w.skips++
		w.clock.skipped.Add(int64(25 * time.Hour))
		w.readOn()
		time.Sleep(tidyEvery)
		for range w.rng.IntN(40) {
			w.goOn()
		}
	}
	time.Sleep(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
	w.settle()
}

// end ends the process in one of three ways, and has the disk that the next one finds.
func (w *world) end() {
	how := w.rng.IntN(8)
	if how == 0 && w.j != nil && w.err == nil {
		w.close()
	}
	w.off = true
	w.underWay()
	if how == 1 || how == 2 {
		w.stats.crashes++
		w.disk = w.disk.Crash()
	} else {
		w.stats.cuts++
		w.disk = w.disk.Cut(w.rng)
	}
	w.settle()
	if w.j != nil {
		j := w.j
		w.call(func() func() { _ = j.Close(); return func() {} })
	}
	for range 100 {
		if w.calls == 0 {
			return
		}
		time.Sleep(time.Minute)
		w.settle()
	}
	panic(fmt.Sprintf("%d calls don't return, though the power is off; %v", w.calls, w.err))
}

// close closes the journal, which makes all durable that was appended.
func (w *world) close() {
	w.stats.closes++
	w.closing = true
	j, closed := w.j, false
	w.call(func() func() {
		err := j.Close()
		return func() {
			closed = true
			if err != nil {
				w.failed("close", err)
				return
			}
			w.truth.promise(j.Appended())
		}
	})
	for range 1000 {
		if closed || w.trouble.happened() && w.trouble.hangs {
			return
		}
		w.goOn()
	}
	w.wrong(errors.New("the journal doesn't close"))
}

// underWay does in part what is under way when the power goes.
func (w *world) underWay() {
	for _, h := range slices.Clone(w.gate.all()) {
		w.stats.underWay++
		if w.rng.IntN(2) == 0 {
			w.gate.letGo(h, powercut.Fault{Err: powercut.ErrOff, Unsynced: true})
			w.settle()
		}
	}
}

// somewhere returns a partition.
func (w *world) somewhere() (tp TopicPartition, ok bool) {
	all := w.j.Topics()
	if len(all) == 0 {
		w.createTopic()
		return tp, false
	}
	t := all[w.rng.IntN(len(all))]
	return TopicPartition{t.Name, w.rng.Int32N(t.Partitions)}, true
}

// records returns some that don't exist yet.
func (w *world) records() []Record {
	rs := make([]Record, 1+w.rng.IntN(3))
	for i := range rs {
		w.made++
		rs[i].Value = fmt.Appendf(nil, "%d%s", w.made, strings.Repeat(".", w.rng.IntN(1000)))
		if w.rng.IntN(3) > 0 {
			rs[i].Key = fmt.Appendf(nil, "key %d", w.rng.IntN(10))
		}
		if w.rng.IntN(10) == 0 {
			rs[i].Value = nil
		}
		if w.rng.IntN(5) == 0 {
			rs[i].Headers = headersOf(header{"made", fmt.Append(nil, w.made)}, header{"none", nil})
		}
	}
	return rs
}

func (w *world) append() {
	tp, ok := w.somewhere()
	if !ok {
		return
	}
	p, rs := w.j.Partition(tp.Topic, tp.Partition), w.records()
	w.call(func() func() {
		first, at, err := p.Append(rs...)
		return func() { w.appended(tp, rs, first, at, err) }
	})
}

func (w *world) appended(tp TopicPartition, rs []Record, first int64, at Position, err error) {
	if err != nil {
		w.failed("append", err)
		return
	}
	w.made++
	for i := range rs {
		w.stats.entries++
		if rs[i].Offset != first+int64(i) {
			w.wrong(fmt.Errorf("%v: the offset is %d, not %d", tp, rs[i].Offset, first+int64(i)))
		}
		w.wrong(w.truth.add(told{at: at - Position(len(rs)-i), call: w.made, tp: tp, record: &rs[i]}))
	}
	if w.rng.IntN(3) == 0 {
		w.wait(at)
	}
}

// wait waits until a position is durable, and tells somebody.
func (w *world) wait(at Position) {
	if w.off {
		return
	}
	j := w.j
	w.call(func() func() {
		err := j.WaitDurable(context.Background(), at)
		return func() {
			if err != nil {
				w.failed("wait", err)
				return
			}
			w.truth.promise(at)
		}
	})
}
