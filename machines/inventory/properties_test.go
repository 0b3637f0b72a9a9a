package inventory

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestAnyLog plays random logs of one SKU beside the twin. After every message the answers are the twin's, and
// everything holds that must hold of a row.
func TestAnyLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &history{t: t, twin: newTwin()}
		for range rapid.IntRange(1, 60).Draw(t, "messages") {
			l.next()
			l.check()
		}
		l.replay()
	})
}

// history is a random log being written.
type history struct {
	t      *rapid.T
	twin   *twin
	row    State
	events []any
	orders int // how many have asked
}

// next draws a message, applies it to the row and the twin, and compares what they answer.
func (l *history) next() {
	kinds := []func() any{l.receipt, l.adjustment, l.reservation, l.giveBack, l.mistake, l.withdrawal}
	event := rapid.SampledFrom(kinds).Draw(l.t, "kind")()
	before := l.row
	r := apply(l.t, before, event)
	refusal, out := l.expect(event)
	if r.Refusal != refusal || !reflect.DeepEqual(r.Outputs, out) {
		l.t.Fatalf("%T%+v\non   %+v\ngot  %s\ntwin %s", event, event, before, said(r), said(Result{Outputs: out, Refusal: refusal}))
	}
	l.row, l.events = r.State, append(l.events, event)
	l.countAnswers(event, r.Outputs)
}

func (l *history) receipt() any {
	return Receive{
		ID: l.id(), Quantity: rapid.Int64Range(1, 12).Draw(l.t, "quantity"), Location: l.location(),
		Reference: rapid.SampledFrom([]string{"", "", "PO 7", "PO 8"}).Draw(l.t, "reference"),
	}
}

func (l *history) adjustment() any {
	quantity := rapid.Int64Range(-12, 12).Filter(func(n int64) bool { return n != 0 }).Draw(l.t, "quantity")
	return Adjust{ID: l.id(), Quantity: quantity, Reason: rapid.SampledFrom(AdjustmentReasons).Draw(l.t, "reason"), Location: l.location()}
}

func (l *history) reservation() any {
	l.orders++
	return Reserve{
		OrderID:  fmt.Sprint("o", l.orders),
		Quantity: rapid.Int64Range(1, 12).Draw(l.t, "quantity"),
		Mode:     rapid.SampledFrom([]Mode{Exact, UpTo, OrQueue, OrQueue}).Draw(l.t, "mode"),
	}
}

// giveBack is a release or a shipment of what an order holds; without such an order, a reservation.
func (l *history) giveBack() any {
	holders := slices.Sorted(maps.Keys(l.twin.holds))
	if len(holders) == 0 {
		return l.reservation()
	}
	orderID := rapid.SampledFrom(holders).Draw(l.t, "holder")
	takes := slices.Clone(l.twin.holds[orderID])
	if rapid.Bool().Draw(l.t, "ship") {
		return Ship{orderID, takes}
	}
	return Release{orderID, takes}
}

// mistake takes back more than anybody holds, after something that is held if there is such a thing.
func (l *history) mistake() any {
	var takes []Allocation
	for _, at := range l.row.Locations {
		if at.Reserved > 0 {
			takes = append(takes, Allocation{at.Location, at.Reserved})
			break
		}
	}
	takes = append(takes, Allocation{"z", 1})
	if rapid.Bool().Draw(l.t, "ship") {
		return Ship{"nobody", takes}
	}
	return Release{"nobody", takes}
}

func (l *history) withdrawal() any {
	return Withdraw{fmt.Sprint("o", rapid.IntRange(0, l.orders).Draw(l.t, "order"))}
}

func (l *history) id() string { return rapid.SampledFrom([]string{"", "x", "y"}).Draw(l.t, "id") }

func (l *history) location() string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(l.t, "location")
}

// expect is what the twin makes of an event.
func (l *history) expect(event any) (refusal string, out []Output) {
	switch e := event.(type) {
	case Receive:
		return l.twin.change(e.ID, e, e.Location, e.Quantity)
	case Adjust:
		return l.twin.change(e.ID, e, e.Location, e.Quantity)
	case Reserve:
		return "", l.twin.reserve(e)
	case Withdraw:
		return "", l.twin.withdraw(e.OrderID)
	case Release:
		return "", l.twin.giveBack(e.OrderID, false)
	case Ship:
		return "", l.twin.giveBack(e.OrderID, true)
	}
	return "", nil
}

// countAnswers checks that who asks is answered once, in the same step, and who only tells is not.
func (l *history) countAnswers(event any, out []Output) {
	switch e := event.(type) {
	case Reserve:
		l.mustAnswer(e.OrderID, out, 1)
	case Withdraw:
		l.mustAnswer(e.OrderID, out, 1)
	case Release, Ship:
		l.mustAnswer("nobody", out, 0)
	}
}

// mustAnswer says how many of the answers are to an order.
func (l *history) mustAnswer(orderID string, out []Output, want int) {
	got := 0
	for _, o := range out {
		if o.OrderID == orderID {
			got++
		}
	}
	if got != want {
		l.t.Fatalf("order %s got %d answers, want %d: %+v", orderID, got, want, out)
	}
}

// check is what must hold of the row after every message.
func (l *history) check() {
	s := l.row
	for i, at := range s.Locations {
		switch {
		case at.Reserved < 0 || at.OnHand < at.Reserved:
			l.t.Fatalf("0 <= reserved <= on hand does not hold of %+v", at)
		case at.OnHand != l.twin.shelves[at.Location] || at.Available() != l.twin.free(at.Location):
			l.t.Fatalf("%+v, and the twin has %d on hand", at, l.twin.shelves[at.Location])
		case i > 0 && s.Locations[i-1].Location >= at.Location:
			l.t.Fatalf("locations are not sorted: %+v", s.Locations)
		}
	}
	switch {
	case s.Received+s.Adjusted != s.OnHand()+s.Shipped:
		l.t.Fatalf("received %d + adjusted %d != on hand %d + shipped %d", s.Received, s.Adjusted, s.OnHand(), s.Shipped)
	case len(s.Queue) > 0 && s.Queue[0].Quantity <= s.Available():
		l.t.Fatalf("the head %+v waits for what is there: %d", s.Queue[0], s.Available())
	case s.Received != l.twin.received || s.Shipped != l.twin.shipped:
		l.t.Fatalf("received %d, shipped %d, with the twin %d and %d", s.Received, s.Shipped, l.twin.received, l.twin.shipped)
	case s.Known != l.twin.known:
		l.t.Fatalf("known: %t", s.Known)
	}
	l.checkQueue()
}

// checkQueue compares who waits, in which order.
func (l *history) checkQueue() {
	var row, twin []string
	for _, w := range l.row.Queue {
		row = append(row, w.OrderID)
	}
	for _, w := range l.twin.queue {
		twin = append(twin, w.OrderID)
	}
	if !slices.Equal(row, twin) {
		l.t.Fatalf("%v wait, and with the twin %v", row, twin)
	}
}

// replay folds the log again, from nothing.
func (l *history) replay() {
	var s State
	for _, e := range l.events {
		s = Apply(s, Message{SKU: "lamp", At: 1, RulesVersion: RulesVersion, Event: e}).State
	}
	if !reflect.DeepEqual(s, l.row) {
		l.t.Fatalf("replayed %+v\nfirst    %+v", s, l.row)
	}
}

// TestAnyRow applies any message to any row that the bounds allow, also those that no log leads to: a row that
// was damaged must not make the machine panic, and what it has on hand never gets below what is held.
func TestAnyRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawRow(t)
		l := &history{t: t, twin: newTwin(), row: s, orders: 3}
		for _, at := range s.Locations {
			l.twin.holds["o1"] = append(l.twin.holds["o1"], Allocation{at.Location, at.Reserved + 1})
		}
		kinds := []func() any{l.receipt, l.adjustment, l.reservation, l.giveBack, l.mistake, l.withdrawal}
		r := apply(t, s, rapid.SampledFrom(kinds).Draw(t, "kind")())
		for _, at := range r.State.Locations {
			if at.Reserved < 0 || at.OnHand < at.Reserved {
				t.Fatalf("0 <= reserved <= on hand does not hold of %+v", at)
			}
		}
	})
}

func drawRow(t *rapid.T) State {
	s := State{Known: rapid.Bool().Draw(t, "known")}
	for _, name := range []string{"a", "b", "c"} {
		if rapid.Bool().Draw(t, "has "+name) {
			onHand := rapid.Int64Range(0, MaxOnHand/3).Draw(t, "on hand")
			s.Locations = append(s.Locations, Stock{name, onHand, rapid.Int64Range(0, onHand).Draw(t, "reserved")})
		}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "waiting") {
		s.Queue = append(s.Queue, Waiting{fmt.Sprint("o", i), rapid.Int64Range(1, MaxQuantity).Draw(t, "asked"), 1})
	}
	return s
}
