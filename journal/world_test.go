package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"stockflow/journal/files"
	"stockflow/journal/files/powercut"
)

// testClock is a clock that tests set.
type testClock struct {
	mu   sync.Mutex
	wall time.Time
	boot time.Duration
}

func newTestClock() *testClock {
	return &testClock{wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), boot: time.Hour}
}

func (c *testClock) Wall() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

func (c *testClock) Boot() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.boot
}

// pass lets time pass.
func (c *testClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.boot = c.wall.Add(d), c.boot+d
}

// step sets the wall clock.
func (c *testClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// smallOptions are for tests: small files on a disk in memory, and a clock that stands still.
func smallOptions(disk files.FS) Options {
	return Options{
		Files: disk, Log: slog.New(slog.DiscardHandler), Clock: newTestClock(),
		TailBytes: 16 << 10, Reserve: -1, Silence: time.Minute, tidyByHand: true,
	}
}

const testDir = "/data/journal"

func openSmall(t testing.TB, disk files.FS) *Journal {
	t.Helper()
	return openWith(t, smallOptions(disk))
}

func openWith(t testing.TB, o Options) *Journal {
	t.Helper()
	j, err := Open(testDir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil && !errors.Is(err, ErrBroken) {
			t.Error(err)
		}
	})
	return j
}

func closeNow(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// partition returns the first partition of a log, which is made if there is none.
func partition(t testing.TB, j *Journal, name string) *Partition {
	t.Helper()
	if _, err := j.CreateTopic(name, Log, 2); err != nil {
		t.Fatal(err)
	}
	return j.Partition(name, 0)
}

// put appends values, and returns once they are durable.
func put(t testing.TB, p *Partition, values ...string) Position {
	t.Helper()
	rs := make([]Record, len(values))
	for i, v := range values {
		rs[i].Value = []byte(v)
	}
	_, at, err := p.Append(rs...)
	if err == nil {
		err = p.j.WaitDurable(t.Context(), at)
	}
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// values returns the values of all records that a horizon shows.
func values(t testing.TB, p *Partition, h Horizon) (all []string) {
	t.Helper()
	_, end := p.Bounds(h)
	err := p.Read(t.Context(), 0, end, h, func(r Record) error {
		if r.Offset != int64(len(all)) {
			return fmt.Errorf("offset %d, %d is next", r.Offset, len(all))
		}
		all = append(all, string(r.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// numbered returns so many values from a number on.
func numbered(from, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("value %d of many", from+i)
	}
	return all
}

// hangingDisk is a disk whose durable writes of frames wait until they are told what becomes of them.
func hangingDisk(disk *powercut.Disk) chan<- powercut.Fault {
	outcome := make(chan powercut.Fault)
	disk.Inject(func(op powercut.Operation) powercut.Fault {
		if op.DSync && op.Offset >= tailHeader {
			return powercut.Fault{Until: outcome}
		}
		return powercut.Fault{}
	})
	return outcome
}

// testRand returns what chooses what a power cut leaves. It is the same in each run.
func testRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
