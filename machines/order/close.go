package order

import (
	"stockflow/machines/inventory"
	"stockflow/machines/shipment"
)

// cancel ends an order that has not been shipped. Before it is confirmed that is for the order alone to decide;
// afterwards the parcel may be leaving at this moment, so the shipment decides, and the order stays
// confirmed until it has. To cancel twice is to cancel once.
func (t *step) cancel() {
	switch t.row.Status {
	case None:
		t.refusal = RefusalUnknownOrder
	case Rejected:
		t.refusal = RefusalRejected
	case Shipped, Delivered:
		t.refusal = RefusalAlreadyShipped
	case Pending, Backordered:
		t.withdraw() // some line is pending or waiting, so the close comes with its answer
		t.become(Cancelled)
	case Confirmed:
		if !t.row.Cancelling {
			t.row.Cancelling = true
			t.send(ToShipment, t.id, shipment.Cancel{})
		}
	}
}

// withdraw asks all lines that wait to leave their queues. Each is asked once, as it no longer waits then, and
// each is answered.
func (t *step) withdraw() {
	for i := range t.row.Lines {
		if l := &t.row.Lines[i]; l.Status == LineWaiting {
			l.Status = LineWithdrawing
			t.send(ToInventory, l.SKU, inventory.Withdraw{OrderID: t.id})
		}
	}
}

// close gives back, in one step, exactly what the order was given. It does nothing while an answer is awaited,
// and nothing the second time, when no line is reserved any more: so it happens once, at the last answer.
func (t *step) close() {
	if t.any(LinePending, LineWaiting, LineWithdrawing) {
		return
	}
	for i := range t.row.Lines {
		if l := &t.row.Lines[i]; l.Status == LineReserved {
			t.send(ToInventory, l.SKU, inventory.Release{OrderID: t.id, Allocations: l.Allocations})
			l.Status, l.Allocations = LineReleased, nil
		}
	}
}
