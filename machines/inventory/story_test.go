package inventory

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// row is a message and what is expected of it: the answers, or "refused: reason" or "unfit: reason", then the
// stock as "location on-hand/reserved", then the queue. A story's rows follow one another on one SKU.
type row struct {
	event any
	want  string
}

// tell plays a story on a SKU of which nothing is known.
func tell(t *testing.T, story string, rows []row) {
	t.Helper()
	tellFrom(t, story, State{}, rows)
}

func tellFrom(t *testing.T, story string, s State, rows []row) {
	t.Run(story, func(t *testing.T) {
		for i, row := range rows {
			r := apply(t, s, row.event)
			if got := rendered(r); got != row.want {
				t.Fatalf("row %d, %T%+v\n got: %s\nwant: %s", i+1, row.event, row.event, got, row.want)
			}
			s = r.State
		}
	})
}

// apply folds an event into a row, and checks what holds for every fold: the same again gives the same, what
// the row refers to is as it was, and who is turned away changes nothing.
func apply(t fataler, s State, event any) Result {
	t.Helper()
	m := Message{SKU: "lamp", At: 1, RulesVersion: RulesVersion, Event: event}
	before := copied(s)
	r := Apply(s, m)
	switch turnedAway := r.Refusal != "" || r.Inapplicable != ""; {
	case !reflect.DeepEqual(s, before):
		t.Fatalf("%T changed the row it was given\n from %+v\n to %+v", event, before, s)
	case !reflect.DeepEqual(Apply(before, m), r):
		t.Fatalf("%T%+v gives another result the second time", event, event)
	case turnedAway && (!reflect.DeepEqual(r.State, s) || r.Outputs != nil):
		t.Fatalf("%T%+v was turned away, and has an effect: %+v", event, event, r)
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
	s.Locations = slices.Clone(s.Locations)
	s.Queue = slices.Clone(s.Queue)
	s.Remembered = slices.Clone(s.Remembered)
	return s
}

// rendered is a result as the rows of a story expect it.
func rendered(r Result) string {
	var stock, queue []string
	for _, at := range r.State.Locations {
		stock = append(stock, fmt.Sprintf("%s %d/%d", at.Location, at.OnHand, at.Reserved))
	}
	for _, w := range r.State.Queue {
		queue = append(queue, fmt.Sprintf("%s %d", w.OrderID, w.Quantity))
	}
	var parts []string
	if said := said(r); said != "" {
		parts = append(parts, said)
	}
	parts = append(parts, strings.Join(stock, " "))
	if queue != nil {
		parts = append(parts, strings.Join(queue, " "))
	}
	return strings.Join(parts, " | ")
}

// said is what a result says to others.
func said(r Result) string {
	switch {
	case r.Refusal != "":
		return "refused: " + r.Refusal
	case r.Inapplicable != "":
		return "unfit: " + r.Inapplicable
	}
	var answers []string
	for _, o := range r.Outputs {
		answers = append(answers, o.OrderID+" "+spoken(o.Answer))
	}
	return strings.Join(answers, "; ")
}

func spoken(answer any) string {
	switch a := answer.(type) {
	case Reserved:
		text := "reserved"
		for _, take := range a.Allocations {
			text += fmt.Sprintf(" %s:%d", take.Location, take.Quantity)
		}
		if a.Available != 0 {
			text += fmt.Sprintf(" of %d", a.Available)
		}
		return text
	case Refused:
		return fmt.Sprintf("refused %s of %d", a.Reason, a.Available)
	case Queued:
		return fmt.Sprintf("queued of %d", a.Available)
	case Withdrawn:
		return "withdrawn"
	case NotWaiting:
		return "not waiting"
	}
	return fmt.Sprintf("%T", answer)
}
