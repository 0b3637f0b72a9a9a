package engine_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"stockflow/journal/files/powercut"
	"stockflow/journal/sealed"
)

var (
	powerCuts  = flag.Int("cuts", 60, "how many times TestPower cuts the power")
	powerFirst = flag.Uint64("world", 0, "the number of the world that TestPower begins with")
)

const livesOfAWorld = 6

// However often the power goes, in the middle of anything, starts included: whatever somebody outside was told is there, what is there
// has its causes, every table is the fold of its log, no store is ahead of its changelog and no commit ahead of what it covers.
func TestPower(t *testing.T) {
	prepareCompression(t)
	var stats powerStats
	var next atomic.Uint64
	next.Store(*powerFirst)
	t.Run("worlds", func(t *testing.T) {
		for range 2 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for !t.Failed() && stats.soFar(&stats.cuts) < *powerCuts {
					seed := next.Add(1) - 1
					if err := livePowerWorld(t, seed, powerFlaw{}, &stats); err != nil {
						t.Errorf("world %d: %v", seed, err)
					}
				}
			})
		}
	})
	t.Log(&stats)
	if *powerCuts >= 50 && stats.missed() {
		t.Error("something has never happened")
	}
}

func livePowerWorld(t *testing.T, seed uint64, f powerFlaw, stats *powerStats) (err error) {
	synctest.Test(t, func(*testing.T) { err = newPowerWorld(seed, f, stats).run(livesOfAWorld) })
	return err
}

// mostWorlds is in how many worlds a flaw has to be noticed.
const mostWorlds = 100

// Each part of what keeps the promises is switched off once, and TestPower would notice.
func TestPowerNoticesFlaws(t *testing.T) {
	prepareCompression(t)
	for name, f := range map[string]powerFlaw{
		"who writes is answered when the message is appended":   {answerEarly: true},
		"who reads is shown what is appended":                   {readEarly: true},
		"a store flushes what isn't durable":                    {engine: "flush early"},
		"an offset is committed before its message is taken in": {engine: "commit early"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(mostWorlds) {
				if err := livePowerWorld(t, seed, f, &powerStats{}); err != nil {
					t.Logf("world %d: %.300v", seed, err)
					return
				}
			}
			t.Errorf("%d worlds didn't notice", mostWorlds)
		})
	}
}

// powerStats say what the cuts have met. They are counted by many worlds at once.
type powerStats struct {
	mu                        sync.Mutex
	cuts, crashes, stops      int
	opening                   int // ends of a life before the journal was open
	answered, seen, mails     int
	entries                   int // that were found after a start
	stores, damaged, setAside int
}

func (s *powerStats) count(what *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*what++
}

func (s *powerStats) soFar(what *int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *what
}

// missed says whether something that may happen has not.
func (s *powerStats) missed() bool {
	return slices.Contains([]int{s.crashes, s.stops, s.opening, s.answered, s.seen, s.mails, s.entries, s.stores}, 0)
}

func (s *powerStats) String() string {
	return fmt.Sprintf("%d cuts, %d kills, %d stops, %d of them before the journal was open; %d messages answered, %d records seen, %d mails sent; "+
		"%d records held against the folds; %d stores looked at, %d of them damaged; %d set aside by starts",
		s.cuts, s.crashes, s.stops, s.opening, s.answered, s.seen, s.mails, s.entries, s.stores, s.damaged, s.setAside)
}

// prepareCompression uses the compressor, which has channels in it that must not be of one bubble.
func prepareCompression(t *testing.T) {
	f, err := powercut.New().OpenFile("sealed", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	w := sealed.NewWriter(f, sealed.Meta{})
	if err := w.Add(0, sealed.Record{Data: bytes.Repeat([]byte("row "), 10_000)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	r, err := sealed.Open(f, sealed.NewCache(1<<20))
	if err == nil {
		err = r.Verify(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}
