package order

import (
	"slices"

	"stockflow/machines/notification"
	"stockflow/machines/shipment"
)

// proceed does what follows from a change of a line: the outcome, once every line is answered, or the close of
// an order that has ended without being shipped.
func (t *step) proceed() {
	if t.any(LinePending) {
		return
	}
	switch t.row.Status {
	case Pending:
		t.decide()
	case Backordered:
		if !t.any(LineWaiting) {
			t.confirm()
		}
	case Rejected, Cancelled:
		t.close()
	}
}

// decide finds the outcome of an order of which every line is answered.
func (t *step) decide() {
	refused := t.any(LineRefused)
	switch {
	case refused && t.row.Policy != Partial:
		t.turnDown(ReasonRefused)
	case refused && !t.any(LineReserved):
		t.turnDown(ReasonNothing)
	case t.any(LineWaiting):
		t.become(Backordered)
	default:
		t.confirm()
	}
}

// turnDown rejects the order. What it was given goes back in the same step, unless lines wait: those are asked
// to leave the queue first, and the order keeps what it has until they have answered.
func (t *step) turnDown(reason string) {
	t.row.Reason = reason
	t.withdraw()
	t.close()
	t.become(Rejected)
}

// confirm has the parcel packed, of the lines that were given something.
func (t *step) confirm() {
	var lines []shipment.Line
	for _, l := range t.row.Lines {
		if l.Status == LineReserved {
			lines = append(lines, shipment.Line{SKU: l.SKU, Quantity: l.Allocated()})
		}
	}
	t.send(ToShipment, t.id, shipment.Schedule{Lines: lines})
	t.become(Confirmed)
}

// kinds are the e-mails that a status is worth. None and Pending are worth none.
var kinds = [...]notification.Kind{
	Confirmed:   notification.Confirmed,
	Backordered: notification.Backordered,
	Rejected:    notification.Rejected,
	Shipped:     notification.Shipped,
	Delivered:   notification.Delivered,
	Cancelled:   notification.Cancelled,
}

// notify tells the customer where the order stands now, if there is an address.
func (t *step) notify() {
	kind := kinds[t.row.Status]
	if kind == 0 || t.row.Customer.Email == "" {
		return
	}
	t.send(ToNotification, t.id, notification.Notify{
		Kind: kind, Name: t.row.Customer.Name, Email: t.row.Customer.Email,
		Reason: t.row.Reason, Lines: t.told(),
		Carrier: t.left.Carrier, TrackingNumber: t.left.TrackingNumber,
	})
}

// told are the lines as the customer is told of them. An order that ended gives nothing, even while it still
// holds units that it can't give back yet.
func (t *step) told() []notification.Line {
	ended := slices.Contains([]Status{Rejected, Cancelled}, t.row.Status)
	lines := make([]notification.Line, len(t.row.Lines))
	for i, l := range t.row.Lines {
		lines[i] = notification.Line{SKU: l.SKU, Quantity: l.Quantity}
		if !ended {
			lines[i].Allocated = l.Allocated()
		}
	}
	return lines
}
