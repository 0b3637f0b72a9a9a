package journal

import (
	"cmp"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"stockflow/journal/files/powercut"
)

// gate holds every operation that changes something on a disk until it is let go. So a test decides in which order
// those of different goroutines happen, and what else does between them.
type gate struct {
	mu      sync.Mutex // guards waiting
	waiting []*held
}

// held is an operation that waits.
type held struct {
	op    powercut.Operation
	sync  string // of a sync, what for: the functions that it is done in
	ch    chan powercut.Fault
	hangs bool // it is not to be let go
}

func (g *gate) hold(op powercut.Operation) powercut.Fault {
	if !op.Kind.Changes() {
		return powercut.Fault{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	h := &held{op: op, ch: make(chan powercut.Fault, 1)}
	if op.Kind == powercut.Sync || op.Kind == powercut.SyncDir || op.DSync {
		h.sync = callers()
	}
	g.waiting = append(g.waiting, h)
	return powercut.Fault{Until: h.ch}
}

// all returns those that wait, in an order that doesn't depend on which goroutine came first.
func (g *gate) all() []*held {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortFunc(g.waiting, func(a, b *held) int {
		return cmp.Or(cmp.Compare(a.op.Name, b.op.Name), cmp.Compare(a.op.Kind, b.op.Kind), cmp.Compare(a.op.Offset, b.op.Offset))
	})
	return slices.Clone(g.waiting)
}

// letGo lets an operation happen, with a fault or none.
func (g *gate) letGo(h *held, f powercut.Fault) {
	g.mu.Lock()
	g.waiting = slices.DeleteFunc(g.waiting, func(other *held) bool { return other == h })
	g.mu.Unlock()
	h.ch <- f
}

// callers returns the functions of the journal that an operation of the disk is done in, the innermost first.
func callers() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var names []string
	for {
		f, more := frames.Next()
		if name, is := strings.CutPrefix(f.Function, "stockflow/journal"); is && !strings.Contains(name, "powercut") {
			names = append(names, path.Ext(name)[1:])
		}
		if !more || len(names) == 2 {
			return strings.Join(names, " of ")
		}
	}
}
