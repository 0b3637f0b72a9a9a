//go:build torture

package witness

import (
	"os"
	"time"
)

// page is this process's.
var page = open(os.Getenv(Variable))

func open(file string) *Page {
	if file == "" {
		return new(Page)
	}
	p, err := Map(file)
	if err != nil {
		panic(err)
	}
	return p
}

// Begin notes that a work begins. Several of a kind may be under way at once.
func Begin(w Work) {
	page.works[w].begun.Add(1)
	pass(w, Before)
}

// End notes that it has ended.
func End(w Work) {
	pass(w, After)
	page.works[w].ended.Add(1)
}

// Pass is for a work that is over in no time: it waits if the process is held there.
func Pass(w Work) { pass(w, Before) }

// beginOne is Begin for a kind of which one is under way at most: one that was given up and is begun again doesn't count twice.
func beginOne(w Work) {
	if page.UnderWay(w) {
		pass(w, Before)
		return
	}
	Begin(w)
}

// endOne is End for such a kind.
func endOne(w Work) {
	if page.UnderWay(w) {
		End(w)
	}
}

// pass waits at a place for as long as the process is held there.
func pass(w Work, at Place) {
	for held(w, at) {
		page.waiting.Store(1)
		time.Sleep(time.Millisecond)
	}
}

func held(w Work, at Place) bool { return page.held.Load() == code(w, at) }
