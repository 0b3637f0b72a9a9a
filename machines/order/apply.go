package order

import (
	"fmt"
	"slices"

	"stockflow/machines/inventory"
	"stockflow/machines/shipment"
)

// RulesVersion is the highest number of rules that Apply knows.
const RulesVersion = 1

// Apply folds a message into the row of its order. It is pure: equal rows and messages give equal results, and
// what s refers to stays as it was. It never panics on a valid message, in whatever state the row is.
//
// A message that is refused or unfit leaves the row as it was and sends nothing. What is sent is in the order
// inventory, shipment, notification, and within inventory by SKU.
func Apply(s State, m Message) Result {
	t := step{id: m.OrderID, at: m.At, row: s}
	t.row.Lines = slices.Clone(s.Lines)
	if m.RulesVersion == RulesVersion {
		t.take(m.Event)
	} else {
		t.unfit("rules number %d, expected %d", m.RulesVersion, RulesVersion)
	}
	if t.refusal != "" || t.unfitness != "" {
		return Result{State: s, Refusal: t.refusal, Inapplicable: t.unfitness}
	}
	return Result{State: t.row, Outputs: t.out}
}

// step is one message on its way into a row. It lives for one Apply, which owns it.
type step struct {
	id string
	at int64

	row State // its Lines are a copy and may be changed in place; everything else is shared with the row before
	out []Output

	left shipment.Dispatched // how the parcel left, if that is the message: the e-mail says so

	refusal, unfitness string // at most one is set, and then row and out count for nothing
}

// take hands an event to its rule, one for each type of the vocabulary.
func (t *step) take(event any) {
	switch e := event.(type) {
	case Placed:
		t.place(e)
	case Cancel:
		t.cancel()
	case inventory.Reserved:
		t.reserved(e)
	case inventory.Refused:
		t.refused(e)
	case inventory.Queued:
		t.queued(e)
	case inventory.Withdrawn:
		t.withdrawn(e)
	case inventory.NotWaiting:
		t.notWaiting(e)
	case shipment.Scheduled, shipment.Dispatched, shipment.Delivered, shipment.Cancelled, shipment.NotCancelled:
		t.heard(e)
	default:
		t.unfit("a message of type %T, expected a Placed, a Cancel or an answer to an order", event)
	}
}

// send sends a command to another machine, after those that were sent before.
func (t *step) send(to Destination, key string, command any) {
	t.out = append(t.out, Output{To: to, Key: key, Command: command})
}

// unfit says why no rule can take the message: what was met, and what was expected.
func (t *step) unfit(format string, args ...any) {
	t.unfitness = fmt.Sprintf(format, args...)
}

// become takes the next step of the order's history, and tells the customer. Whatever else is sent because
// of it has been sent before.
func (t *step) become(status Status) {
	t.row.Status = status
	t.row.History = append(slices.Clip(t.row.History), Change{Status: status, At: t.at})
	t.notify()
}

// any reports whether a line stands at one of the statuses.
func (t *step) any(statuses ...LineStatus) bool {
	return slices.ContainsFunc(t.row.Lines, func(l Line) bool { return slices.Contains(statuses, l.Status) })
}
