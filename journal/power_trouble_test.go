package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"stockflow/journal/files/powercut"
)

// trouble is one operation of the disk that goes wrong.
type trouble struct {
	at    int // its number among those that happen
	fault powercut.Fault
	hangs bool // instead

	operations int
	hit        powercut.Operation
	did        bool
}

func (t *trouble) happened() bool { return t != nil && t.did }

// with returns what goes wrong with an operation.
func (t *trouble) with(h *held) powercut.Fault {
	if t == nil || h.hangs {
		return powercut.Fault{}
	}
	t.operations++
	if t.operations-1 != t.at {
		return powercut.Fault{}
	}
	t.hit, t.did, h.hangs = h.op, true, t.hangs
	return t.fault
}

// explains says whether an error may be because of the trouble.
func (t *trouble) explains(err error) bool {
	if !t.happened() {
		return false
	}
	for _, known := range []error{ErrBroken, ErrFull, t.fault.Err} {
		if known != nil && errors.Is(err, known) {
			return true
		}
	}
	return false
}

// checkTrouble wants a journal in which something went wrong to have ended, or to go on.
func (w *world) checkTrouble() {
	if w.j == nil || w.err != nil {
		return // it could not be opened, or is not as it should be already
	}
	select {
	case <-w.j.Done():
		w.checkBroken()
	default:
		w.letHangingGo()
		w.checkAlive()
	}
}

// letHangingGo lets the operation go that hangs, some time later.
func (w *world) letHangingGo() {
	if !w.trouble.hangs || w.rng.IntN(2) == 0 {
		return
	}
	time.Sleep(time.Minute)
	w.settle()
	for _, h := range w.gate.all() {
		h.hangs = false
	}
	w.trouble.hangs = false
}

// checkBroken wants a journal that has ended to say so, and to take nothing.
func (w *world) checkBroken() {
	p := w.truth.promised
	_, err := w.j.Commit("group", nil)
	for what, err := range map[string]error{"Err": w.j.Err(), "Health": w.j.Health(), "Commit": err} {
		if !errors.Is(err, ErrBroken) {
			w.wrong(fmt.Errorf("the journal is broken, and %s says %w", what, err))
		}
	}
	w.trouble.isFatal(w)
	if d := w.j.Durable(); d < p {
		w.wrong(fmt.Errorf("%d was promised, and %d is durable", p, d))
	}
}

// isFatal complains if the journal has ended for an error that is none of its own file.
func (t *trouble) isFatal(w *world) {
	if t.hit.Kind != powercut.Write || !t.hit.DSync {
		w.wrong(fmt.Errorf("%s of %s failed, and the journal has ended: %w", t.hit.Kind, t.hit.Name, w.j.Err()))
	}
}

// checkAlive wants the journal to be well after a while, and what is then appended to become durable.
func (w *world) checkAlive() {
	if w.trouble.hangs {
		return // it may take for ever
	}
	j, alive := w.j, false
	for n := 0; !alive && n < 1000; n++ {
		w.goOn()
		if j.Health() == nil && w.calls == 0 {
			alive = true
		}
	}
	if !alive {
		w.wrong(fmt.Errorf("%s of %s went wrong, and the journal doesn't get well: %w", w.trouble.hit.Kind, w.trouble.hit.Name, j.Health()))
		return
	}
	alive = false
	w.call(func() func() {
		at, err := j.Commit("group", map[TopicPartition]Committed{})
		if err == nil {
			err = j.WaitDurable(context.Background(), at)
		}
		return func() {
			alive = true
			if err != nil {
				w.wrong(fmt.Errorf("append to a journal that is well again: %w", err))
			}
		}
	})
	for n := 0; !alive && n < 1000; n++ {
		w.goOn()
	}
	if !alive {
		w.wrong(errors.New("a journal that is well again makes nothing durable"))
	}
}

var troubles = map[string]trouble{
	"EIO":                     {fault: powercut.Fault{Err: syscall.EIO}},
	"ENOSPC":                  {fault: powercut.Fault{Err: syscall.ENOSPC, Bytes: 700}},
	"a short write":           {fault: powercut.Fault{Err: io.ErrShortWrite, Bytes: 100}},
	"EIO, and all is written": {fault: powercut.Fault{Err: syscall.EIO, Unsynced: true}},
	"a sync that fails once":  {fault: powercut.Fault{Err: syscall.EIO, Unsynced: true, Forget: true}},
	"an operation that hangs": {hangs: true},
}

// Whatever operation of the disk goes wrong, and how: what somebody was told is there after the next start, and the
// journal has ended if it was a write of its own file; else it goes on.
func TestTrouble(t *testing.T) {
	prepareCompression(t)
	for name, kind := range troubles {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for seed := range uint64(4) {
					for at, happened := 0, true; happened; at++ {
						trouble := kind
						trouble.at = at
						w := newWorld(seed, flaws{}, &powerStats{})
						w.trouble = &trouble
						if err := w.run(1); err != nil {
							t.Fatalf("seed %d, operation %d, %s of %s: %v", seed, at, trouble.hit.Kind, trouble.hit.Name, err)
						}
						happened = trouble.happened()
					}
				}
			})
		})
	}
}

// A start that can't read, or the reading after it, says so, and leaves everything to the next one.
func TestReadsThatFail(t *testing.T) {
	h := newHouse(t)
	h.fill(10)
	h.tidy()
	h.fill(10)
	h.close()
	disk := h.disk.(*powercut.Disk)
	again := func() *powercut.Disk { return disk.Cut(rand.New(rand.NewPCG(1, 1))) } // all of it is on the disk
	want, err := readAll(again())
	if err != nil || len(want) != 4 {
		t.Fatal(want, err)
	}
	for at, failed := 0, true; failed; at++ {
		disk, failed = again(), false
		disk.Inject(func(op powercut.Operation) powercut.Fault {
			if op.Kind.Changes() || op.Number != at {
				return powercut.Fault{}
			}
			failed = true
			return powercut.Fault{Err: syscall.EIO}
		})
		if got, err := readAll(disk); err != nil && !errors.Is(err, syscall.EIO) || err == nil && !maps.Equal(got, want) {
			t.Errorf("read %d: got %v, %v", at, got, err)
		}
		if got, err := readAll(disk.Crash()); err != nil || !maps.Equal(got, want) {
			t.Fatalf("after read %d failed: got %v, %v", at, got, err)
		}
	}
}

// readAll opens the journal of a house and returns how many records each partition has.
func readAll(disk *powercut.Disk) (map[TopicPartition]int, error) {
	h := &house{disk: disk, clock: &handClock{}}
	j, err := Open("data", h.options())
	if err != nil {
		return nil, err
	}
	f, err := read(j, Durable)
	counts := make(map[TopicPartition]int)
	for tp, rs := range f.records {
		counts[tp] = len(rs)
	}
	return counts, errors.Join(err, j.Close())
}
