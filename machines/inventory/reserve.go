package inventory

// reserve gives an order units, a place in the queue, or a refusal.
func (t *step) reserve(e Reserve) {
	if e.Mode == OrQueue {
		t.reserveOrQueue(e)
		return
	}
	there := t.row.Available()
	given := min(e.Quantity, there)
	reason := t.row.withholds(e)
	switch {
	case reason != "":
		t.answer(e.OrderID, Refused{SKU: t.sku, Reason: reason, Available: there})
	case given < e.Quantity:
		t.answer(e.OrderID, Reserved{SKU: t.sku, Allocations: t.hold(given), Available: there})
	default:
		t.answer(e.OrderID, Reserved{SKU: t.sku, Allocations: t.hold(given)})
	}
}

// withholds says why a line that will not wait is given nothing, "" if it is given something.
//
// Whoever waits comes first, even if the newcomer could be served with what the head of the queue is too
// large for: else a large line could wait for ever behind small ones that came later.
func (s State) withholds(e Reserve) string {
	there := s.Available()
	enough := there >= e.Quantity || e.Mode == UpTo && there > 0
	switch {
	case !s.Known:
		return RefusalUnknownSKU
	case len(s.Queue) > 0:
		return RefusalQueueAhead
	case enough:
		return ""
	case s.OnHand() < e.Quantity && (e.Mode != UpTo || s.OnHand() == 0):
		return RefusalInsufficient
	}
	return RefusalHeld // for UpTo, any unit given back would do
}

// hold reserves quantity units, of which there must be as many available, and returns where they are.
// The first location that has them all gives them, so that a parcel is packed in one place; only if none
// has, they come from several, in the order of their names.
func (t *step) hold(quantity int64) []Allocation {
	for i, at := range t.row.Locations {
		if at.Available() >= quantity {
			return []Allocation{t.holdAt(i, quantity)}
		}
	}
	var takes []Allocation
	for i, at := range t.row.Locations {
		if part := min(quantity, at.Available()); part > 0 {
			takes = append(takes, t.holdAt(i, part))
			quantity -= part
		}
	}
	return takes
}

// holdAt reserves units at one location.
func (t *step) holdAt(i int, quantity int64) Allocation {
	t.row.Locations[i].Reserved += quantity
	return Allocation{Location: t.row.Locations[i].Location, Quantity: quantity}
}
