package cli

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"

	"stockflow/journal"
	"stockflow/journal/files/powercut"
	"stockflow/stockflowtest"
)

var powerCuts = flag.Int("cuts", 5, "how many times TestPower cuts the power under a whole program")

// cutsOfAPlant are how many cuts one disk sees.
const cutsOfAPlant = 10

// TestPower cuts the power under a whole program that is used by many, again and again, at any operation of the disk. Everything in DATA
// but the lock is on that disk. What the next program finds is held against what anybody was shown.
func TestPower(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	var all powerStats
	for seed := uint64(0); all.cuts < *powerCuts && !t.Failed(); seed++ {
		w := newPowerPlant(t, seed)
		for n := 0; n < cutsOfAPlant && all.cuts+w.stats.cuts < *powerCuts && !t.Failed(); n++ {
			w.live((*powerPlant).use)
			w.cut()
		}
		w.live(func(w *powerPlant, l *powerLife) { l.stop() })
		all.add(w)
	}
	t.Logf("%+v", all)
	if *powerCuts >= 50 && (all.starting == 0 || all.found == 0 || all.mails == 0) {
		t.Error("something has never happened")
	}
}

// powerStats say what the cuts have met.
type powerStats struct {
	cuts     int
	starting int // of those, before the program was ready
	found    int // rows that somebody was shown, and that were there after a cut
	mails    int // that were sent
}

func (s *powerStats) add(w *powerPlant) {
	s.cuts += w.stats.cuts
	s.starting += w.stats.starting
	s.found += w.truth.checked
	s.mails += len(w.relay.Counts())
}

// powerPlant is a disk whose power goes, with those who use the program that is on it.
type powerPlant struct {
	*testing.T
	rng   *rand.Rand
	data  string // where the files are on the disk, and the lock on the machine's
	disk  *powercut.Disk
	relay *stockflowtest.Relay
	truth *truth
	// trouble is what goes wrong with the disk otherwise; nil for nothing.
	trouble *trouble

	stats   powerStats
	clients int // so far
}

func newPowerPlant(t *testing.T, seed uint64) *powerPlant {
	t.Helper()
	return &powerPlant{
		T: t, rng: rand.New(rand.NewPCG(seed, 15)), data: t.TempDir(), disk: powercut.New(), relay: stockflowtest.NewRelay(t, nil), truth: newTruth(t),
	}
}

// powerLife is one life of the program.
type powerLife struct {
	plant  *powerPlant
	server *Server
	client *shop
}

// live starts the program, holds what it has against what was shown before, and does what do does. The power may go meanwhile.
func (w *powerPlant) live(do func(*powerPlant, *powerLife)) {
	w.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	serve := Serve{
		HTTP: "127.0.0.1:0", Data: w.data, Partitions: 2,
		Mail: mailFlags{SMTP: w.relay.Address, SMTPTLS: "none", MailFrom: "shop@example.org"},
	}.OnJournal(journal.Options{Files: w.disk, TailBytes: 128 << 10, MaxTail: 1 << 20, Reserve: -1, Silence: silence})
	server, err := serve.Start(w.Context(), log)
	if err != nil {
		w.stats.starting++
		if !w.isIll() {
			w.Errorf("it doesn't start: %v", err)
		}
		return
	}
	l := &powerLife{plant: w, server: server, client: newShop(w.T, server.HTTPAddr())}
	if l.ready() {
		w.truth.check(l)
		do(w, l)
	} else {
		w.stats.starting++
	}
	l.stop()
}

// ready waits until the program is ready, or can't be.
func (l *powerLife) ready() bool {
	ctx, cancel := context.WithTimeout(l.plant.Context(), generous)
	defer cancel()
	go func() {
		select {
		case <-l.plant.disk.Off():
		case <-l.server.Journal().Done():
		case <-ctx.Done():
		}
		cancel()
	}()
	err := l.server.WaitReady(ctx)
	if err != nil && !l.plant.isIll() {
		l.plant.Errorf("it is not ready, and waits for %q: %v", l.server.Waiting(), err)
	}
	return err == nil && !l.plant.Failed()
}

// use lets people use the program until the power goes, and then expects it to end by itself.
func (w *powerPlant) use(l *powerLife) {
	w.disk.CutAt(w.disk.Changes() + w.rng.IntN([]int{40, 400, 2000}[w.rng.IntN(3)]))
	end := l.open()
	defer end()
	<-w.disk.Off()
	l.endsBroken()
	l.stop()
}

// endsBroken expects the program to end because its journal can't be written.
func (l *powerLife) endsBroken() {
	ctx, cancel := context.WithTimeout(l.plant.Context(), generous)
	defer cancel()
	if err := l.server.Wait(ctx); !errors.Is(err, journal.ErrBroken) {
		l.plant.Errorf("it has ended with %v", err)
	}
}

// stop ends the program, whatever its disk says to that.
func (l *powerLife) stop() {
	if err := l.server.Stop(); err != nil && !l.plant.isIll() {
		l.plant.Errorf("it doesn't stop: %v", err)
	}
}

// cut has the disk that is found when the power is back, and may let it go during the next start.
func (w *powerPlant) cut() {
	w.stats.cuts++
	w.disk = w.disk.Cut(w.rng)
	if w.rng.IntN(4) == 0 {
		w.disk.CutAt(w.rng.IntN(600))
	}
}

// isIll reports whether the disk has lost its power, or something went wrong with it.
func (w *powerPlant) isIll() bool {
	return stockflowtest.Was(w.disk.Off()) || w.trouble != nil && stockflowtest.Was(w.trouble.hit)
}
