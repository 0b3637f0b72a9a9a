package order

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/shipment"
)

// row is a message and what is expected of it: what is sent, or "refused: reason" or "unfit: reason", then where
// the order and its lines stand. A story's rows follow one another on one order.
type row struct {
	event any
	want  string
}

// The messages of a story. Lines and units are written "lamp 2"; what is given comes from the location main.

func placed(policy Policy, lines ...string) Placed {
	p := Placed{Policy: policy}
	for _, line := range lines {
		sku, n := parsed(line)
		p.Lines = append(p.Lines, PlacedLine{sku, n})
	}
	return p
}

// withMail is placed by a customer who wants to hear of it.
func withMail(policy Policy, lines ...string) Placed {
	p := placed(policy, lines...)
	p.Customer = Customer{ID: "c1", Name: "Ada", Email: "ada@example.com"}
	return p
}

func given(units string) inventory.Reserved {
	sku, n := parsed(units)
	return inventory.Reserved{SKU: sku, Allocations: []inventory.Allocation{{Location: "main", Quantity: n}}}
}

// givenOf is less than was asked for: all that there was.
func givenOf(units string) inventory.Reserved {
	r := given(units)
	r.Available = r.Allocations[0].Quantity
	return r
}

func refused(sku, reason string) inventory.Refused {
	return inventory.Refused{SKU: sku, Reason: reason, Available: 1}
}

func queued(sku string) inventory.Queued         { return inventory.Queued{SKU: sku, Available: 1} }
func withdrawn(sku string) inventory.Withdrawn   { return inventory.Withdrawn{SKU: sku} }
func notWaiting(sku string) inventory.NotWaiting { return inventory.NotWaiting{SKU: sku} }

var byDHL = shipment.Dispatched{Carrier: "DHL", TrackingNumber: "X1"}

func parsed(units string) (sku string, n int64) {
	if _, err := fmt.Sscan(units, &sku, &n); err != nil {
		panic(err)
	}
	return sku, n
}

// tell plays a story from before the order is placed, and returns how it ends.
func tell(t *testing.T, story string, rows []row) State {
	t.Helper()
	var s State
	t.Run(story, func(t *testing.T) {
		for i, row := range rows {
			r := apply(t, s, row.event)
			if got := rendered(r); got != row.want {
				t.Fatalf("row %d, %T%+v\n got: %s\nwant: %s", i+1, row.event, row.event, got, row.want)
			}
			s = r.State
		}
	})
	return s
}

// apply folds an event into a row, and checks what holds for every fold: the same again gives the same, what
// the row refers to is as it was, who is turned away changes nothing, and outputs are sorted by destination.
func apply(t fataler, s State, event any) Result {
	t.Helper()
	m := Message{OrderID: "o1", At: 1, RulesVersion: RulesVersion, Event: event}
	before := copied(s)
	r := Apply(s, m)
	switch turnedAway := r.Refusal != "" || r.Inapplicable != ""; {
	case !reflect.DeepEqual(s, before):
		t.Fatalf("%T changed the row it was given\n from %+v\n to %+v", event, before, s)
	case !reflect.DeepEqual(Apply(before, m), r):
		t.Fatalf("%T%+v gives another result the second time", event, event)
	case turnedAway && (!reflect.DeepEqual(r.State, s) || r.Outputs != nil):
		t.Fatalf("%T%+v was turned away, and has an effect: %+v", event, event, r)
	case !slices.IsSortedFunc(r.Outputs, func(a, b Output) int { return int(a.To) - int(b.To) }):
		t.Fatalf("%T%+v sends in another order than inventory, shipment, notification: %+v", event, event, r.Outputs)
	}
	return r
}

// fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// copied shares nothing with s.
func copied(s State) State {
	s.Lines = slices.Clone(s.Lines)
	for i := range s.Lines {
		s.Lines[i].Allocations = slices.Clone(s.Lines[i].Allocations)
	}
	s.History = slices.Clone(s.History)
	return s
}

// rendered is a result as the rows of a story expect it.
func rendered(r Result) string {
	var parts []string
	switch {
	case r.Refusal != "":
		parts = append(parts, "refused: "+r.Refusal)
	case r.Inapplicable != "":
		parts = append(parts, "unfit: "+r.Inapplicable)
	}
	var sent []string
	for _, o := range r.Outputs {
		sent = append(sent, spoken(o))
	}
	if sent != nil {
		parts = append(parts, strings.Join(sent, "; "))
	}
	return strings.Join(append(parts, standing(r.State)), " | ")
}

// standing is where the order and each line stand.
func standing(s State) string {
	var lines []string
	for _, l := range s.Lines {
		text := l.SKU + " " + l.Status.String()
		if n := l.Allocated(); n > 0 {
			text += fmt.Sprint(" ", n)
		}
		if l.Reason != "" {
			text += " " + l.Reason
		}
		lines = append(lines, text)
	}
	status := s.Status.String()
	if s.Cancelling {
		status += " (cancelling)"
	}
	if s.Reason != "" {
		status += " " + s.Reason
	}
	if lines == nil {
		return status
	}
	return status + ": " + strings.Join(lines, ", ")
}

// spoken is one output. The key is told only where it isn't what it must be.
func spoken(o Output) string {
	key, to, text := "o1", ToShipment, ""
	switch c := o.Command.(type) {
	case inventory.Reserve:
		mode := [...]string{"exact", "up to", "or queue"}[c.Mode]
		key, to, text = o.Key, ToInventory, fmt.Sprintf("reserve %s %d %s", mode, c.Quantity, o.Key)
	case inventory.Release:
		key, to, text = o.Key, ToInventory, fmt.Sprintf("release %s%s", o.Key, units(c.Allocations))
	case inventory.Ship:
		key, to, text = o.Key, ToInventory, fmt.Sprintf("ship %s%s", o.Key, units(c.Allocations))
	case inventory.Withdraw:
		key, to, text = o.Key, ToInventory, "withdraw "+o.Key
	case shipment.Schedule:
		text = fmt.Sprintf("pack %v", c.Lines)
	case shipment.Cancel:
		text = "cancel the parcel"
	case notification.Notify:
		to, text = ToNotification, "mail "+c.Kind.String()
	}
	if o.Key != key || o.To != to {
		text += fmt.Sprintf(" WITH KEY %q TO %d", o.Key, o.To)
	}
	return text
}

func units(takes []inventory.Allocation) string {
	var text string
	for _, take := range takes {
		text += fmt.Sprintf(" %s:%d", take.Location, take.Quantity)
	}
	return text
}

// mailsOf are the e-mails among the outputs.
func mailsOf(r Result) []notification.Notify {
	var mails []notification.Notify
	for _, o := range r.Outputs {
		if mail, ok := o.Command.(notification.Notify); ok {
			mails = append(mails, mail)
		}
	}
	return mails
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}
