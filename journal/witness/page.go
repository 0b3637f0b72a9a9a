// Package witness lets who kills a process know what the process was in the midst of, and lets the process wait in the midst of it.
// Both have a page of memory in common, which outlives the one that is killed. Only a program that is built with the tag
// torture has a part in it, and only if the environment names the page.
package witness

import "sync/atomic"

// Work is what a process may be in the midst of.
type Work uint8

// The works there are.
const (
	Row     Work = iota // a row whose outputs are in their logs, on its way to the changelog
	Flush               // a batch on its way to a store
	Write               // frames on their way to the journal
	Seal                // full files of the journal that are rewritten
	Prepare             // a file that the journal is to go on with
	works
)

// Place is how far a work has come.
type Place uint8

// The places that a work passes, in this order. A row has nothing but Before, a flush nothing but its two ends.
const (
	// Before: of a write nothing is in the file; of a sealed file nothing but its name is there; a file that is
	// prepared is empty, or what it was before it got another name.
	Before Place = iota
	// Inside: half of a write is in the file; sealed files are whole, and no manifest names them; a file that is prepared has its
	// first zeros.
	Inside
	// After: all is on the disk, and nobody in the process knows.
	After
	places
)

// Page is the memory that both have. Its zero value is a page on which nothing has happened.
type Page struct {
	works   [works]struct{ begun, ended atomic.Uint64 }
	held    atomic.Uint64 // the place at which to wait, by its code; 0 for none
	waiting atomic.Uint64 // 1 when the process waits there
}

// code is a place as the page has it.
func code(w Work, p Place) uint64 { return 1 + uint64(w)*uint64(places) + uint64(p) }

// UnderWay reports whether a work has begun and not ended. While the process lives, it may be over by now.
func (p *Page) UnderWay(w Work) bool { return p.works[w].begun.Load() > p.works[w].ended.Load() }

// Begun returns how often a work has begun.
func (p *Page) Begun(w Work) uint64 { return p.works[w].begun.Load() }

// Hold has the process wait at a place of its next work of a kind, until it is killed.
func (p *Page) Hold(w Work, at Place) { p.held.Store(code(w, at)) }

// Waits reports whether the process has come to the place where it is held.
func (p *Page) Waits() bool { return p.waiting.Load() == 1 }

// WaitsAt reports whether it waits at that place.
func (p *Page) WaitsAt(w Work, at Place) bool { return p.Waits() && p.held.Load() == code(w, at) }

// Reset makes the page a new one. It is for when the process is dead.
func (p *Page) Reset() {
	for i := range p.works {
		p.works[i].begun.Store(0)
		p.works[i].ended.Store(0)
	}
	p.held.Store(0)
	p.waiting.Store(0)
}
