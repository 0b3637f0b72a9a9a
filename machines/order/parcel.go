package order

import (
	"stockflow/machines/inventory"
	"stockflow/machines/shipment"
)

// The shipment answers in the order in which it decided: Scheduled, then either Cancelled, or Dispatched and
// Delivered with a NotCancelled anywhere after Dispatched if the order asked to cancel.

// heard takes in what became of the parcel.
func (t *step) heard(answer any) {
	switch a := answer.(type) {
	case shipment.Scheduled:
		t.parcel("Scheduled", t.row.Status == Confirmed, "a confirmed order")
	case shipment.Dispatched:
		if t.parcel("Dispatched", t.row.Status == Confirmed, "a confirmed order") {
			t.ship(a)
		}
	case shipment.Delivered:
		if t.parcel("Delivered", t.row.Status == Shipped, "a shipped order") {
			t.become(Delivered)
		}
	case shipment.Cancelled:
		asked := t.row.Status == Confirmed && t.row.Cancelling
		if t.parcel("Cancelled", asked, "a confirmed order that asked to cancel") {
			t.row.Cancelling = false
			t.close()
			t.become(Cancelled)
		}
	case shipment.NotCancelled:
		left := t.row.Status == Shipped || t.row.Status == Delivered
		if t.parcel("NotCancelled", left && t.row.Cancelling, "a shipped order that asked to cancel") {
			t.row.Cancelling = false
		}
	}
}

// parcel reports whether an answer of the shipment fits, and says why if it doesn't.
func (t *step) parcel(answer string, fits bool, expected string) bool {
	switch {
	case fits:
		return true
	case t.row.Status == None:
		t.unfit("a shipment's %s for order %q, which was never placed, expected %s", answer, t.id, expected)
	case t.row.Cancelling:
		t.unfit("a shipment's %s for order %q, which is %s and asked to cancel, expected %s",
			answer, t.id, t.row.Status, expected)
	default:
		t.unfit("a shipment's %s for order %q, which is %s, expected %s", answer, t.id, t.row.Status, expected)
	}
	return false
}

// ship takes what the order holds out of the stock. Takes stay in the row, as what was shipped. Cancelling stays
// too: the shipment has not answered to that yet.
func (t *step) ship(left shipment.Dispatched) {
	t.left = left
	for i := range t.row.Lines {
		if l := &t.row.Lines[i]; l.Status == LineReserved {
			t.send(ToInventory, l.SKU, inventory.Ship{OrderID: t.id, Allocations: l.Allocations})
			l.Status = LineShipped
		}
	}
	t.become(Shipped)
}
