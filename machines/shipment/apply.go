package shipment

import (
	"fmt"
	"slices"
)

// RulesVersion is the highest number of rules that Apply knows.
const RulesVersion = 1

// Apply folds a message into the row of its shipment. It is pure: equal rows and messages give equal results,
// and what s refers to stays as it was. It never panics on a valid message, in whatever state the row is.
//
// A message that is refused or unfit leaves the row as it was and sends nothing.
func Apply(s State, m Message) Result {
	t := step{id: m.OrderID, at: m.At, row: s}
	if m.RulesVersion == RulesVersion {
		t.take(m.Event)
	} else {
		t.reject("rules number %d, expected %d", m.RulesVersion, RulesVersion)
	}
	if t.refusal != "" || t.unfit != "" {
		return Result{State: s, Refusal: t.refusal, Inapplicable: t.unfit}
	}
	return Result{State: t.row, Outputs: t.out}
}

// step is one message on its way into a row. It lives for one Apply, which owns it.
type step struct {
	id string
	at int64

	row State // its slices are shared with the row before
	out []Output

	refusal, unfit string // at most one is set, and then row and out count for nothing
}

// take hands an event to its rule, one for each type of the vocabulary.
func (t *step) take(event any) {
	switch e := event.(type) {
	case Schedule:
		t.schedule(e)
	case Cancel:
		t.cancel()
	case Dispatch:
		t.dispatch(e)
	case Deliver:
		t.deliver()
	default:
		t.reject("a message of type %T, expected a Schedule, Cancel, Dispatch or Deliver", event)
	}
}

// schedule makes the row. An order is confirmed once, so a second parcel for it is a mistake.
func (t *step) schedule(e Schedule) {
	if t.row.Status != None {
		t.reject("a Schedule for order %q, whose shipment is %s, expected one that has no shipment", t.id, t.row.Status)
		return
	}
	t.row.Lines = e.Lines
	t.become(StatusScheduled)
	t.answer(Scheduled{})
}

// cancel decides the race between a cancellation and a dispatch: whichever came first into this log has won.
// An order asks once, and only for a shipment that it scheduled.
func (t *step) cancel() {
	switch t.row.Status {
	case StatusScheduled:
		t.become(StatusCancelled)
		t.answer(Cancelled{})
	case StatusDispatched, StatusDelivered:
		t.answer(NotCancelled{})
	case StatusCancelled:
		t.reject("a second Cancel for order %q, expected one", t.id)
	default:
		t.reject("a Cancel for order %q, which has no shipment, expected a Schedule before it", t.id)
	}
}

// dispatch sends the parcel on its way. The same once more, as a retry sends it, changes nothing.
func (t *step) dispatch(e Dispatch) {
	switch t.row.Status {
	case None:
		t.refusal = RefusalUnknownShipment
	case StatusCancelled:
		t.refusal = RefusalCancelled
	case StatusScheduled:
		t.row.Carrier, t.row.TrackingNumber = e.Carrier, e.TrackingNumber
		t.become(StatusDispatched)
		t.answer(Dispatched{Carrier: e.Carrier, TrackingNumber: e.TrackingNumber})
	default:
		if e != (Dispatch{Carrier: t.row.Carrier, TrackingNumber: t.row.TrackingNumber}) {
			t.refusal = RefusalDispatchedOtherwise
		}
	}
}

// deliver ends the parcel's way. Once more, as a retry sends it, changes nothing.
func (t *step) deliver() {
	switch t.row.Status {
	case None:
		t.refusal = RefusalUnknownShipment
	case StatusCancelled:
		t.refusal = RefusalCancelled
	case StatusScheduled:
		t.refusal = RefusalNotDispatched
	case StatusDispatched:
		t.become(StatusDelivered)
		t.answer(Delivered{})
	}
}

// become takes the next step of the shipment's history.
func (t *step) become(status Status) {
	t.row.Status = status
	t.row.History = append(slices.Clip(t.row.History), Change{Status: status, At: t.at})
}

// answer sends an answer to the order.
func (t *step) answer(a any) {
	t.out = append(t.out, Output{OrderID: t.id, Answer: a})
}

// reject says why no rule can take the message: what was met, and what was expected.
func (t *step) reject(format string, args ...any) {
	t.unfit = fmt.Sprintf(format, args...)
}
