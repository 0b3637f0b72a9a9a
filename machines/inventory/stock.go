package inventory

import (
	"slices"
	"strings"
)

// receive adds goods to a location.
func (t *step) receive(e Receive) {
	if t.enter(entry{kind: "receive", id: e.ID, quantity: e.Quantity, location: e.Location, reference: e.Reference}) {
		t.row.Received += e.Quantity
		t.serve()
	}
}

// adjust corrects the stock of a location, up or down.
func (t *step) adjust(e Adjust) {
	if t.enter(entry{kind: "adjust", id: e.ID, quantity: e.Quantity, location: e.Location, reason: e.Reason}) {
		t.row.Adjusted += e.Quantity
		t.serve()
	}
}

// enter writes a receipt or an adjustment into its location and remembers it. It reports false if nothing
// may come of it, because it is refused or was taken before.
func (t *step) enter(e entry) bool {
	if e.location == "" {
		e.location = DefaultLocation
	}
	known, refusal := e.recall(t.row.Remembered)
	if !known && refusal == "" {
		refusal = t.row.refuses(e)
	}
	if known || refusal != "" {
		t.refusal = refusal
		return false
	}
	t.row.Known = true
	t.row.Remembered = e.remember(t.row.Remembered)
	t.add(e.location, e.quantity)
	return true
}

// refuses says why the stock can't be changed as e says, "" if it can. A SKU or a location that isn't known
// has nothing on hand, so what is taken from it is below zero.
func (s State) refuses(e entry) string {
	i, found := s.find(e.location)
	var at Stock
	if found {
		at = s.Locations[i]
	}
	switch after := at.OnHand + e.quantity; {
	case after < 0:
		return RefusalBelowZero
	case after < at.Reserved:
		return RefusalBelowReserved
	case s.OnHand()+e.quantity > MaxOnHand:
		return RefusalTooMany
	case !found && len(s.Locations) >= MaxLocations:
		return RefusalTooManyLocations
	}
	return ""
}

// add changes what is on hand at a location. A location stays in the row when its last unit leaves: that it
// holds nothing is a fact that somebody stated.
func (t *step) add(location string, quantity int64) {
	i, found := t.row.find(location)
	if !found {
		t.row.Locations = slices.Insert(t.row.Locations, i, Stock{Location: location})
	}
	t.row.Locations[i].OnHand += quantity
}

// release makes units available again that an order held. The order gives back what it was given, so what
// isn't reserved here is a mistake of the sender's, and none of it is taken.
func (t *step) release(e Release) {
	if t.unreserve(e.OrderID, e.Allocations) {
		t.serve()
	}
}

// ship takes units out of the stock. They were reserved, so what is available stays as it is, and the queue
// has nothing to gain.
func (t *step) ship(e Ship) {
	if !t.unreserve(e.OrderID, e.Allocations) {
		return
	}
	for _, take := range e.Allocations {
		t.add(take.Location, -take.Quantity)
		t.row.Shipped += take.Quantity
	}
}

// unreserve ends the hold on takes. It reports false, with the reason in unfit, if some of them are not held.
func (t *step) unreserve(orderID string, takes []Allocation) bool {
	for _, take := range takes {
		i, found := t.row.find(take.Location)
		if !found {
			t.reject("order %q returns or ships %d of %q at %q, expected one of its locations",
				orderID, take.Quantity, t.sku, take.Location)
			return false
		}
		at := &t.row.Locations[i]
		if take.Quantity > at.Reserved {
			t.reject("order %q returns or ships %d of %q at %q, expected at most the %d reserved there",
				orderID, take.Quantity, t.sku, take.Location, at.Reserved)
			return false
		}
		at.Reserved -= take.Quantity
	}
	return true
}

// find returns where a location is in the row, or where it belongs.
func (s State) find(location string) (int, bool) {
	return slices.BinarySearchFunc(s.Locations, location, func(at Stock, name string) int {
		return strings.Compare(at.Location, name)
	})
}
