package inventory

import "slices"

// Between two messages the head of the queue never fits into what is available. So a queue of which nothing
// was changed, and a stock of which no more is available, need no serving; serving them does no harm.

// reserveOrQueue gives an order all its units if nobody waits, else a place at the end of the queue. A SKU
// that nobody has received yet may be waited for.
func (t *step) reserveOrQueue(e Reserve) {
	there := t.row.Available()
	switch {
	case len(t.row.Queue) == 0 && there >= e.Quantity:
		t.answer(e.OrderID, Reserved{SKU: t.sku, Allocations: t.hold(e.Quantity)})
	case len(t.row.Queue) >= MaxQueue:
		t.answer(e.OrderID, Refused{SKU: t.sku, Reason: RefusalQueueFull, Available: there})
	default:
		last := Waiting{OrderID: e.OrderID, Quantity: e.Quantity, Since: t.at}
		t.row.Queue = append(slices.Clip(t.row.Queue), last)
		t.answer(e.OrderID, Queued{SKU: t.sku, Available: there})
	}
}

// serve gives units to those who wait, from the head and each line whole. The first line that doesn't fit
// ends it: those behind wait with it.
func (t *step) serve() {
	there := t.row.Available()
	for len(t.row.Queue) > 0 && t.row.Queue[0].Quantity <= there {
		head := t.row.Queue[0]
		t.answer(head.OrderID, Reserved{SKU: t.sku, Allocations: t.hold(head.Quantity)})
		t.row.Queue = t.row.Queue[1:]
		there -= head.Quantity
	}
	if len(t.row.Queue) == 0 {
		t.row.Queue = nil // an empty queue is always nil, so that rows replayed are rows equal
	}
}

// withdraw takes an order's line out of the queue. If it was the head, those behind may fit now. It is
// answered in any case, for the order closes only when it knows what became of each line.
func (t *step) withdraw(e Withdraw) {
	i := slices.IndexFunc(t.row.Queue, func(w Waiting) bool { return w.OrderID == e.OrderID })
	if i < 0 {
		t.answer(e.OrderID, NotWaiting{SKU: t.sku})
		return
	}
	t.row.Queue = slices.Concat(t.row.Queue[:i], t.row.Queue[i+1:])
	t.answer(e.OrderID, Withdrawn{SKU: t.sku})
	t.serve()
}
