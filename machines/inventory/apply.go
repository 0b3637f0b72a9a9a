package inventory

import (
	"fmt"
	"slices"
)

// RulesVersion is the highest number of rules that Apply knows.
const RulesVersion = 1

// Apply folds a message into the row of its SKU. It is pure: equal rows and messages give equal results, and
// what s refers to stays as it was. It never panics on a valid message, in whatever state the row is.
//
// A message that is refused or unfit leaves the row as it was and sends nothing.
func Apply(s State, m Message) Result {
	t := step{sku: m.SKU, at: m.At, row: s}
	t.row.Locations = slices.Clone(s.Locations)
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
	sku string
	at  int64

	row State // its Locations are a copy and may be changed in place; everything else is shared with the row before
	out []Output

	refusal, unfit string // at most one is set, and then row and out count for nothing
}

// take hands an event to its rule, one for each type of the vocabulary.
func (t *step) take(event any) {
	switch e := event.(type) {
	case Receive:
		t.receive(e)
	case Adjust:
		t.adjust(e)
	case Reserve:
		t.reserve(e)
	case Release:
		t.release(e)
	case Ship:
		t.ship(e)
	case Withdraw:
		t.withdraw(e)
	default:
		t.reject("a message of type %T, expected a Receive, Adjust, Reserve, Release, Ship or Withdraw", event)
	}
}

// answer sends an answer to an order, after those that were sent before.
func (t *step) answer(orderID string, a any) {
	t.out = append(t.out, Output{OrderID: orderID, Answer: a})
}

// reject says why no rule can take the message: what was met, and what was expected.
func (t *step) reject(format string, args ...any) {
	t.unfit = fmt.Sprintf(format, args...)
}
