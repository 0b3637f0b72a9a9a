package inventory

import (
	"maps"
	"slices"
)

// twin is the inventory of one SKU as one would do it by hand: it keeps every single hold, counts everything
// anew each time it is asked, and gives units one by one. It shares nothing with Apply but the vocabulary, and
// says what it does in the words of a story.
type twin struct {
	known   bool
	shelves map[string]int64        // on hand
	holds   map[string][]Allocation // what each order holds
	queue   []Waiting
	ids     map[string]any // what was taken under an ID

	received, shipped int64
}

func newTwin() *twin {
	return &twin{shelves: map[string]int64{}, holds: map[string][]Allocation{}, ids: map[string]any{}}
}

// free is what is available at a location.
func (w *twin) free(location string) int64 {
	n := w.shelves[location]
	for _, takes := range w.holds {
		for _, take := range takes {
			if take.Location == location {
				n -= take.Quantity
			}
		}
	}
	return n
}

func (w *twin) freeInAll() (n int64) {
	for location := range w.shelves {
		n += w.free(location)
	}
	return n
}

func (w *twin) onHand() (n int64) {
	for _, quantity := range w.shelves {
		n += quantity
	}
	return n
}

// change is a receipt or an adjustment. It returns a refusal, or the answers to those who waited.
func (w *twin) change(id string, what any, location string, quantity int64) (string, []Output) {
	if was, taken := w.ids[id]; taken && id != "" {
		if was != what {
			return RefusalIDConflict, nil
		}
		return "", nil
	}
	held := w.shelves[location] - w.free(location)
	switch {
	case w.shelves[location]+quantity < 0:
		return RefusalBelowZero, nil
	case w.shelves[location]+quantity < held:
		return RefusalBelowReserved, nil
	}
	w.known, w.ids[id] = true, what
	w.shelves[location] += quantity
	if _, goods := what.(Receive); goods {
		w.received += quantity
	}
	return "", w.wake()
}

// reserve answers like Apply, reason by reason.
func (w *twin) reserve(e Reserve) []Output {
	free := w.freeInAll()
	if e.Mode == OrQueue {
		w.queue = append(w.queue, Waiting{OrderID: e.OrderID, Quantity: e.Quantity})
		if served := w.wake(); served != nil {
			return served
		}
		return []Output{{e.OrderID, Queued{"lamp", free}}}
	}
	if e.Mode == UpTo && w.known && len(w.queue) == 0 && free > 0 && free < e.Quantity {
		return []Output{{e.OrderID, Reserved{"lamp", w.give(e.OrderID, free), free}}}
	}
	reason := ""
	if free < e.Quantity {
		reason = RefusalHeld
	}
	if asked := map[Mode]int64{Exact: e.Quantity, UpTo: 1}[e.Mode]; w.onHand() < asked { // any one would do for UpTo
		reason = RefusalInsufficient
	}
	if len(w.queue) > 0 {
		reason = RefusalQueueAhead
	}
	if !w.known {
		reason = RefusalUnknownSKU
	}
	if reason != "" {
		return []Output{{e.OrderID, Refused{"lamp", reason, free}}}
	}
	return []Output{{e.OrderID, Reserved{"lamp", w.give(e.OrderID, e.Quantity), 0}}}
}

// give holds units for an order, one by one, at the first location that has them all or else wherever the next
// one is.
func (w *twin) give(orderID string, quantity int64) []Allocation {
	names := slices.Sorted(maps.Keys(w.shelves))
	for _, name := range names {
		if w.free(name) >= quantity {
			names = []string{name}
			break
		}
	}
	given := map[string]int64{}
	for _, name := range names {
		for free := w.free(name); free > 0 && quantity > 0; free-- {
			given[name]++
			quantity--
		}
	}
	var takes []Allocation
	for _, name := range slices.Sorted(maps.Keys(given)) {
		takes = append(takes, Allocation{name, given[name]})
	}
	w.holds[orderID] = takes
	return takes
}

// wake serves the queue until its head doesn't fit.
func (w *twin) wake() []Output {
	var out []Output
	for len(w.queue) > 0 && w.freeInAll() >= w.queue[0].Quantity {
		head := w.queue[0]
		w.queue = w.queue[1:]
		out = append(out, Output{head.OrderID, Reserved{"lamp", w.give(head.OrderID, head.Quantity), 0}})
	}
	return out
}

func (w *twin) withdraw(orderID string) []Output {
	for i, waiting := range w.queue {
		if waiting.OrderID == orderID {
			w.queue = slices.Delete(w.queue, i, i+1)
			return append([]Output{{orderID, Withdrawn{"lamp"}}}, w.wake()...)
		}
	}
	return []Output{{orderID, NotWaiting{"lamp"}}}
}

// giveBack ends a hold; shipped says that the units leave the house.
func (w *twin) giveBack(orderID string, shipped bool) []Output {
	for _, take := range w.holds[orderID] {
		if shipped {
			w.shelves[take.Location] -= take.Quantity
			w.shipped += take.Quantity
		}
	}
	delete(w.holds, orderID)
	return w.wake()
}
