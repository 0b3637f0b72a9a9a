package journal

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"stockflow/journal/files/powercut"
)

var everyFault = flag.Bool("every-fault", false, "let each operation of sealing fail in each way, not in one of them")

// fullHouse is one with work of every kind to do: full tails, small files, rows that are a day old. It is closed.
func fullHouse(t *testing.T) *house {
	h := newHouse(t)
	for range mergeAtOnce - 1 {
		h.fill(10)
		h.tidy()
	}
	h.clock.since += 30 * time.Hour
	h.fill(10)
	h.close()
	return h
}

// another returns a house with the same contents, open.
func (h *house) another() *house {
	disk := h.disk.(*powercut.Disk).Cut(rand.New(rand.NewPCG(0, 0)))
	a := &house{t: h.t, disk: disk, clock: &handClock{since: h.clock.since}, has: h.has}
	a.open()
	return a
}

// changesOfTidying is how many operations tidying takes.
func (h *house) changesOfTidying() (from, to int) {
	a := h.another()
	disk := a.disk.(*powercut.Disk)
	from = disk.Changes()
	if a.tidy() < 4 {
		h.t.Fatal("there was too little to do")
	}
	to = disk.Changes()
	a.close()
	return from, to
}

// Whenever the power goes while files are sealed, compacted and merged, the next start has everything, and nothing that
// doesn't count stays.
func TestThePowerGoesWhileItTidies(t *testing.T) {
	full := fullHouse(t)
	from, to := full.changesOfTidying()
	for n := from; n < to; n++ {
		h := full.another()
		disk := h.disk.(*powercut.Disk)
		disk.CutAt(n)
		h.tidyInVain()
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		for range 2 {
			h.disk = disk.Cut(rng)
			h.open()
			h.checkAfterFault(n)
		}
	}
}

// tidyInVain works until something fails.
func (h *house) tidyInVain() {
	for {
		if did, err := h.archiver().step(context.Background()); err != nil || !did {
			return
		}
	}
}

func (h *house) checkAfterFault(n int) {
	h.check()
	h.tidy()
	h.check()
	if err := h.j.Verify(context.Background()); err != nil {
		h.t.Fatalf("change %d: %v", n, err)
	}
	names, err := h.archiver().dir.numbers()
	if err != nil || len(names) != len(h.archiver().files) {
		h.t.Fatalf("change %d: the directory has %d sealed files, %d count: %v", n, len(names), len(h.archiver().files), err)
	}
	h.close()
}

// Whatever operation fails, with its error told or with what it did lost: the work is done when it is tried again, and nothing is
// lost, then or by a power cut right after.
func TestAnyOperationFailsWhileItTidies(t *testing.T) {
	full := fullHouse(t)
	from, to := full.changesOfTidying()
	faults := []powercut.Fault{{Err: errInjected}, {Err: errInjected, Bytes: 100}, {Err: errInjected, Forget: true}, {Err: errInjected, Unsynced: true}}
	for n := from; n < to; n++ {
		for i, fault := range faults {
			if !*everyFault && n%len(faults) != i {
				continue
			}
			h := full.another()
			disk := h.disk.(*powercut.Disk)
			disk.Inject(onceFrom(n, fault))
			h.tidyPatiently(n)
			h.check()
			h.disk = disk.Cut(rand.New(rand.NewPCG(uint64(n), 2)))
			h.open()
			h.checkAfterFault(n)
		}
	}
}

// onceFrom lets an operation of the archiver fail, the first from the change with a number on.
func onceFrom(n int, f powercut.Fault) func(powercut.Operation) powercut.Fault {
	done := false
	return func(op powercut.Operation) powercut.Fault {
		if done || !op.Kind.Changes() || op.Number < n || strings.Contains(op.Name, tailPrefix) {
			return powercut.Fault{}
		}
		done = true
		return f
	}
}

var errInjected = errors.New("input/output error")

// tidyPatiently does all there is to do, although one operation fails. That no file can be removed is no error.
func (h *house) tidyPatiently(n int) {
	for failed := 0; ; {
		did, err := h.archiver().step(context.Background())
		if err != nil {
			if failed++; failed > 1 || !errors.Is(err, errInjected) {
				h.t.Fatalf("change %d: %v", n, err)
			}
			if h.archiverError() == nil {
				h.t.Fatalf("change %d: the error isn't shown", n)
			}
			continue
		}
		if !did {
			break
		}
	}
	if err := h.archiverError(); err != nil {
		h.t.Fatalf("change %d: it still shows %v", n, err)
	}
}

// archiverError returns what the journal shows of the archiver's work.
func (h *house) archiverError() error {
	h.j.mu.Lock()
	defer h.j.mu.Unlock()
	return errors.Join(h.j.background[sealing], h.j.background[tidying])
}

// A manifest that can't be changed for a while is tried again; the files that it is to name are not written again meanwhile.
func TestTheManifestCanNotBeChanged(t *testing.T) {
	h := fullHouse(t).another()
	before, err := h.archiver().dir.numbers()
	if err != nil {
		t.Fatal(err)
	}
	disk := h.disk.(*powercut.Disk)
	disk.Inject(func(op powercut.Operation) powercut.Fault {
		if op.Kind == powercut.Rename && strings.Contains(op.Name, "MANIFEST") {
			return powercut.Fault{Err: errInjected}
		}
		return powercut.Fault{}
	})
	for range 5 {
		if _, err := h.archiver().step(t.Context()); !errors.Is(err, errInjected) || h.archiverError() == nil {
			t.Fatal(err)
		}
	}
	now, err := h.archiver().dir.numbers()
	if err != nil || len(now) > len(before)+2 {
		t.Errorf("there are %d sealed files, %d before: %v", len(now), len(before), err)
	}
	h.check()
	disk.Inject(nil)
	h.tidy()
	if h.archiverError() != nil {
		t.Error(h.archiverError())
	}
	h.checkAfterFault(0)
}

// Reads fail too, for a while.
func TestReadsFailWhileItTidies(t *testing.T) {
	h := fullHouse(t).another()
	disk := h.disk.(*powercut.Disk)
	failing := 0
	disk.Inject(func(op powercut.Operation) powercut.Fault {
		if op.Kind == powercut.Read && op.Number%7 == 0 && failing < 30 {
			failing++
			return powercut.Fault{Err: errInjected}
		}
		return powercut.Fault{}
	})
	for {
		did, err := h.archiver().step(context.Background())
		if err == nil && !did {
			break
		}
	}
	if failing == 0 {
		t.Fatal("no read failed")
	}
	h.check()
	h.close()
}
