package order

import (
	"slices"
	"strings"

	"stockflow/machines/inventory"
)

// What inventory answers about one SKU comes in the order in which it was decided:
//
//	Reserve   Reserved | Refused | Queued, and after Queued, when its turn comes, Reserved
//	Withdraw  Withdrawn | NotWaiting, the latter only after that Reserved
//
// Answers about different SKUs come in any order. Everything that follows from the last awaited answer is in
// proceed, so it makes no difference which answer is the last.

// reserved gives a line its units. A line that was asked to leave the queue has been served before it was
// asked. It keeps its status together with its units until the NotWaiting that must still come: were it
// LineReserved at once, the order could close with an answer outstanding, and that answer would then fit nothing.
func (t *step) reserved(a inventory.Reserved) {
	l := t.line(a.SKU, "Reserved", LinePending, LineWaiting, LineWithdrawing)
	if l == nil {
		return
	}
	if l.served() {
		t.unfit("a second Reserved for SKU %q, expected a NotWaiting", a.SKU)
		return
	}
	if l.Status != LineWithdrawing {
		l.Status = LineReserved
	}
	l.Allocations, l.Available = a.Allocations, a.Available
	t.proceed()
}

// refused leaves a line without units.
func (t *step) refused(a inventory.Refused) {
	l := t.line(a.SKU, "Refused", LinePending)
	if l == nil {
		return
	}
	l.Status, l.Reason, l.Available = LineRefused, a.Reason, a.Available
	t.proceed()
}

// queued lets a line wait, unless the order was cancelled before it heard of it.
func (t *step) queued(a inventory.Queued) {
	l := t.line(a.SKU, "Queued", LinePending)
	if l == nil {
		return
	}
	l.Status, l.Available = LineWaiting, a.Available
	if t.row.Status == Cancelled {
		t.withdraw()
	}
	t.proceed()
}

// withdrawn ends a line's wait without units.
func (t *step) withdrawn(a inventory.Withdrawn) {
	l := t.line(a.SKU, "Withdrawn", LineWithdrawing)
	if l == nil {
		return
	}
	if l.served() {
		t.unfit("a Withdrawn for SKU %q, whose units came before, expected a NotWaiting", a.SKU)
		return
	}
	l.Status = LineWithdrawn
	t.proceed()
}

// notWaiting is the last answer to a line that was served before it could leave the queue.
func (t *step) notWaiting(a inventory.NotWaiting) {
	l := t.line(a.SKU, "NotWaiting", LineWithdrawing)
	if l == nil {
		return
	}
	if !l.served() {
		t.unfit("a NotWaiting for SKU %q, whose units have not come, expected a Reserved before it", a.SKU)
		return
	}
	l.Status = LineReserved
	t.proceed()
}

// served reports whether a line that was asked to leave the queue was given its units before.
func (l Line) served() bool { return l.Status == LineWithdrawing && len(l.Allocations) > 0 }

// line returns the line of an answer, to be changed in place. It returns nil, and says why, if the answer is
// not one that the line awaits.
func (t *step) line(sku, answer string, awaits ...LineStatus) *Line {
	if t.row.Status == None {
		t.unfit("a %s for SKU %q of order %q, which was never placed, expected a Placed before it", answer, sku, t.id)
		return nil
	}
	i, found := slices.BinarySearchFunc(t.row.Lines, sku, func(l Line, sku string) int {
		return strings.Compare(l.SKU, sku)
	})
	if !found {
		t.unfit("a %s for SKU %q, expected a SKU of order %q", answer, sku, t.id)
		return nil
	}
	l := &t.row.Lines[i]
	if !slices.Contains(awaits, l.Status) {
		t.unfit("a %s for SKU %q, whose line is %s, expected a line that is %s", answer, sku, l.Status, named(awaits))
		return nil
	}
	return l
}

// named joins statuses for a reader: "pending or waiting".
func named(statuses []LineStatus) string {
	var names []string
	for _, s := range statuses {
		names = append(names, s.String())
	}
	return strings.Join(names, " or ")
}
