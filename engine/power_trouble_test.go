package engine_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"stockflow/journal"
	"stockflow/journal/files/powercut"
)

var powerTroubles = flag.Int("troubles", 6, "in how many worlds TestTrouble lets the disk fail, of each kind")

// powerTrouble is one operation of the disk that goes wrong in a life.
type powerTrouble struct {
	kind  powerFault
	from  int // the first change of the disk that may be it
	hit   atomic.Bool
	store bool // it was a store's, once it has hit
}

// powerFault is what goes wrong with it: an error, or it hangs for a while.
type powerFault struct {
	powercut.Fault
	hangs bool
}

var powerFaults = map[string]powerFault{
	"EIO":                      {Fault: powercut.Fault{Err: syscall.EIO}},
	"EIO and forgets the data": {Fault: powercut.Fault{Err: syscall.EIO, Forget: true}},
	"ENOSPC":                   {Fault: powercut.Fault{Err: syscall.ENOSPC, Bytes: 700}},
	"short write":              {Fault: powercut.Fault{Err: io.ErrShortWrite, Bytes: 300}},
	"hangs":                    {hangs: true},
}

// In each life one operation of the disk fails or hangs, the journal's or a store's, a start included. Then the process ends, with the power or
// without it. As after any end, whatever somebody outside was told is there, every table is the fold of its log, and the last life comes to rest. A
// group ends by itself only if the journal is broken.
func TestTrouble(t *testing.T) {
	prepareCompression(t)
	for _, name := range slices.Sorted(maps.Keys(powerFaults)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stats powerStats
			var met troublesMet
			for seed := range uint64(*powerTroubles) {
				synctest.Test(t, func(t *testing.T) {
					w := newPowerWorld(seed, powerFlaw{}, &stats)
					w.troubled = func(number int) *powerTrouble {
						return &powerTrouble{kind: powerFaults[name], from: number + w.chance.intN([]int{20, 100, 500}[w.chance.intN(3)])}
					}
					w.met = &met
					if err := w.run(livesOfAWorld); err != nil {
						t.Errorf("world %d: %v", seed, err)
					}
				})
			}
			t.Logf("%s; %s", &met, &stats)
			if *powerTroubles >= 40 && (met.journal == 0 || met.store == 0) {
				t.Error("something has never happened")
			}
		})
	}
}

// troublesMet counts what went wrong, by whose file it was.
type troublesMet struct{ journal, store int }

func (m *troublesMet) String() string {
	return fmt.Sprintf("it was the journal's file %d times, a store's %d times", m.journal, m.store)
}

// meets says what goes wrong with an operation, nothing if it isn't the one. It is called for one operation at a time.
func (t *powerTrouble) meets(op powercut.Operation, met *troublesMet, chance *chance) (f powercut.Fault, does bool) {
	if t == nil || !op.Kind.Changes() || op.Number < t.from || t.hit.Load() {
		return powercut.Fault{}, false
	}
	if t.store = strings.HasPrefix(op.Name, powerStores); t.store {
		met.store++
	} else {
		met.journal++
	}
	t.hit.Store(true)
	if !t.kind.hangs {
		return t.kind.Fault, true
	}
	until := make(chan powercut.Fault)
	time.AfterFunc(chance.upTo(30*time.Second), func() { close(until) })
	return powercut.Fault{Until: until}, true
}

// explains reports whether an error is what has to come of the trouble.
func (t *powerTrouble) explains(err error) bool {
	if t == nil || !t.hit.Load() || t.kind.hangs {
		return false
	}
	return errors.Is(err, journal.ErrBroken) || strings.Contains(err.Error(), t.kind.Err.Error()) // LevelDB doesn't wrap it everywhere
}
