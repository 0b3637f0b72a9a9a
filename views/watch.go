package views

import (
	"context"
	"errors"
	"slices"
	"sync"

	"stockflow/codecs"
)

// Watch is told what becomes of one key of a table, from the moment it was registered. It is for one goroutine.
type Watch[S any] struct {
	key   string
	owner *watches[S]
	woken chan struct{} // holds one token when something has come since it was last taken out

	mu     sync.Mutex // guards what follows, which the table's callback writes
	row    Row[S]     // the newest, once any came
	taken  []codecs.Taken
	lost   int64 // the highest offset that was forgotten for want of room, -1 at first
	wanted int64 // the offset that is waited for, -1 while it isn't known
}

// Decision is what became of a message.
type Decision[S any] struct {
	Row     Row[S] // as it is now, or was when the decision fell or later
	Refusal string // "" if the message was taken
}

// ErrOverrun says that a decision was made and is no longer known: keepTaken others of the same key followed before
// anyone asked for it.
var ErrOverrun = errors.New("the decision was made, but too many others have followed to tell it")

// keepTaken is how many messages a watch remembers while it does not yet know which one it waits for. That is the
// time until the log acknowledges the message, which is then the newest or nearly so.
const keepTaken = 4096

// Watch registers interest in key. Whoever will produce a message registers before, so that its decision can't be
// missed. Close ends it. The error is an *ErrRecovering when the table can't be read.
func (t *Table[S]) Watch(key string) (*Watch[S], error) {
	if err := t.waits(); err != nil {
		return nil, err
	}
	return newWatch(&t.watches, key), nil
}

func newWatch[S any](owner *watches[S], key string) *Watch[S] {
	w := &Watch[S]{key: key, owner: owner, woken: make(chan struct{}, 1), lost: -1, wanted: -1}
	owner.add(w)
	return w
}

// Decision waits until the row of the key has taken in the message at offset of its log. The error is ErrOverrun, or
// that of ctx when it ends before.
func (w *Watch[S]) Decision(ctx context.Context, offset int64) (Decision[S], error) {
	w.want(offset)
	for {
		if d, known, err := w.decided(offset); known || err != nil {
			return d, err
		}
		if err := w.next(ctx); err != nil {
			return Decision[S]{}, err
		}
	}
}

// Until waits until the newest row that came is as met says, and returns it. With the error of ctx, when it ends
// before, comes the newest row nevertheless; it is not Found when none came.
func (w *Watch[S]) Until(ctx context.Context, met func(Row[S]) bool) (Row[S], error) {
	for {
		row := w.newest()
		if row.Found && met(row) {
			return row, nil
		}
		if err := w.next(ctx); err != nil {
			return w.newest(), err
		}
	}
}

// Close ends the watch. It may be called more than once.
func (w *Watch[S]) Close() { w.owner.remove(w) }

func (w *Watch[S]) next(ctx context.Context) error {
	select {
	case <-w.woken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Watch[S]) newest() Row[S] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.row
}

// want makes the watch forget all messages but one, those to come included.
func (w *Watch[S]) want(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = offset
	w.keep(w.taken)
}

func (w *Watch[S]) decided(offset int64) (d Decision[S], known bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.taken {
		if t.Offset == offset {
			return Decision[S]{w.row, t.Refusal}, true, nil
		}
	}
	if offset <= w.lost {
		return d, false, ErrOverrun
	}
	return d, false, nil
}

// tell takes in a change. However slow the watch's owner is, what it holds stays bounded.
func (w *Watch[S]) tell(row Row[S], taken []codecs.Taken) {
	w.mu.Lock()
	w.row = row
	w.keep(append(w.taken, taken...))
	w.mu.Unlock()
	select {
	case w.woken <- struct{}{}:
	default: // it is awake already
	}
}

// keep makes w.taken what of taken may yet be asked for. The caller holds mu.
func (w *Watch[S]) keep(taken []codecs.Taken) {
	w.taken = nil
	if w.wanted < 0 {
		for ; len(taken) > keepTaken; taken = taken[1:] {
			w.lost = max(w.lost, taken[0].Offset)
		}
		w.taken = taken
		return
	}
	for _, t := range taken {
		if t.Offset == w.wanted {
			w.taken = []codecs.Taken{t}
		}
	}
}

// watches are the watches of one table, by key.
type watches[S any] struct {
	mu    sync.RWMutex
	byKey map[string][]*Watch[S] // a slice is replaced as a whole, never written to: of hands it out
}

func (ws *watches[S]) add(w *Watch[S]) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.byKey == nil {
		ws.byKey = map[string][]*Watch[S]{}
	}
	ws.byKey[w.key] = append(slices.Clip(ws.byKey[w.key]), w)
}

func (ws *watches[S]) remove(w *Watch[S]) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if all := ws.byKey[w.key]; len(all) > 1 {
		ws.byKey[w.key] = slices.DeleteFunc(slices.Clone(all), func(other *Watch[S]) bool { return other == w })
	} else if slices.Contains(all, w) {
		delete(ws.byKey, w.key)
	}
}

// of returns the watches of a key. One that ends meanwhile may still be told, which does no harm.
func (ws *watches[S]) of(key string) []*Watch[S] {
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	return ws.byKey[key]
}

// tellAll tells watches of a change.
func tellAll[S any](watches []*Watch[S], row Row[S], taken []codecs.Taken) {
	for _, w := range watches {
		w.tell(row, taken)
	}
}
