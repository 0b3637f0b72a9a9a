package shipment

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// row is a message and what is expected of it: the answers, or "refused: reason" or "unfit: reason", then
// where the shipment stands. A story's rows follow one another on one order.
type row struct {
	event any
	want  string
}

var (
	lamps  = Schedule{Lines: []Line{{"lamp", 2}}}
	byDHL  = Dispatch{Carrier: "DHL", TrackingNumber: "X1"}
	byDHL2 = Dispatch{Carrier: "DHL", TrackingNumber: "X2"}
	byUPS  = Dispatch{Carrier: "UPS", TrackingNumber: "X1"}
)

func TestWay(t *testing.T) {
	tell(t, "a parcel is packed, leaves and arrives", []row{
		{lamps, "Scheduled | scheduled lamp:2"},
		{byDHL, "Dispatched DHL X1 | dispatched lamp:2 DHL X1"},
		{Deliver{}, "Delivered | delivered lamp:2 DHL X1"},
	})
	tell(t, "a retry changes nothing and is answered to nobody", []row{
		{lamps, "Scheduled | scheduled lamp:2"},
		{byDHL, "Dispatched DHL X1 | dispatched lamp:2 DHL X1"},
		{byDHL, "dispatched lamp:2 DHL X1"},
		{Deliver{}, "Delivered | delivered lamp:2 DHL X1"},
		{byDHL, "delivered lamp:2 DHL X1"},
		{Deliver{}, "delivered lamp:2 DHL X1"},
	})
	tell(t, "a parcel leaves once", []row{
		{lamps, "Scheduled | scheduled lamp:2"},
		{byDHL, "Dispatched DHL X1 | dispatched lamp:2 DHL X1"},
		{byDHL2, "refused: dispatched_otherwise | dispatched lamp:2 DHL X1"},
		{byUPS, "refused: dispatched_otherwise | dispatched lamp:2 DHL X1"},
		{Deliver{}, "Delivered | delivered lamp:2 DHL X1"},
		{byDHL2, "refused: dispatched_otherwise | delivered lamp:2 DHL X1"},
	})
	tell(t, "what has not left can't arrive", []row{
		{lamps, "Scheduled | scheduled lamp:2"},
		{Deliver{}, "refused: not_dispatched | scheduled lamp:2"},
	})
	tell(t, "there is nothing to send without an order", []row{
		{byDHL, "refused: unknown_shipment | "},
		{Deliver{}, "refused: unknown_shipment | "},
	})
	tell(t, "an order has one shipment", []row{
		{lamps, "Scheduled | scheduled lamp:2"},
		{lamps, `unfit: a Schedule for order "o1", whose shipment is scheduled, expected one that has no shipment | scheduled lamp:2`},
	})
}

func TestCancel(t *testing.T) {
	tell(t, "the cancellation came first", []row{
		{lamps, "Scheduled | scheduled lamp:2"},
		{Cancel{}, "Cancelled | cancelled lamp:2"},
		{byDHL, "refused: shipment_cancelled | cancelled lamp:2"},
		{Deliver{}, "refused: shipment_cancelled | cancelled lamp:2"},
		{lamps, `unfit: a Schedule for order "o1", whose shipment is cancelled, expected one that has no shipment | cancelled lamp:2`},
		{Cancel{}, `unfit: a second Cancel for order "o1", expected one | cancelled lamp:2`},
	})
	tell(t, "the dispatch came first", []row{
		{lamps, "Scheduled | scheduled lamp:2"},
		{byDHL, "Dispatched DHL X1 | dispatched lamp:2 DHL X1"},
		{Cancel{}, "NotCancelled | dispatched lamp:2 DHL X1"},
		{Deliver{}, "Delivered | delivered lamp:2 DHL X1"},
	})
	tell(t, "so did the delivery", []row{
		{lamps, "Scheduled | scheduled lamp:2"},
		{byDHL, "Dispatched DHL X1 | dispatched lamp:2 DHL X1"},
		{Deliver{}, "Delivered | delivered lamp:2 DHL X1"},
		{Cancel{}, "NotCancelled | delivered lamp:2 DHL X1"},
	})
	tell(t, "there is nothing to cancel", []row{
		{Cancel{}, `unfit: a Cancel for order "o1", which has no shipment, expected a Schedule before it | `},
	})
}

func TestUnfit(t *testing.T) {
	tell(t, "an event of another machine", []row{
		{Scheduled{}, "unfit: a message of type shipment.Scheduled, expected a Schedule, Cancel, Dispatch or Deliver | "},
		{nil, "unfit: a message of type <nil>, expected a Schedule, Cancel, Dispatch or Deliver | "},
	})
	for _, rules := range []uint32{0, RulesVersion + 1, math.MaxUint32} {
		got := Apply(State{}, Message{OrderID: "o1", RulesVersion: rules, Event: lamps})
		if want := fmt.Sprintf("rules number %d, expected 1", rules); got.Inapplicable != want || got.State.Status != None {
			t.Errorf("rules %d: %+v", rules, got)
		}
	}
}

func TestHistorySpeaksOfTheLogsTime(t *testing.T) {
	var s State
	for i, e := range []any{lamps, byDHL, byDHL, Deliver{}} {
		s = Apply(s, Message{OrderID: "o1", At: int64(i + 1), RulesVersion: RulesVersion, Event: e}).State
	}
	want := []Change{{StatusScheduled, 1}, {StatusDispatched, 2}, {StatusDelivered, 4}}
	if !reflect.DeepEqual(s.History, want) {
		t.Errorf("%+v, want %+v", s.History, want)
	}
}

// A row may be kept while others are made of it, so what one fold appends must not show in another's result.
func TestRowsShareNothingThatGrows(t *testing.T) {
	s := apply(t, State{}, lamps).State
	s.History = append(make([]Change, 0, 9), s.History...)
	first := apply(t, s, byDHL)
	apply(t, s, Cancel{})
	if got := first.State.History[1].Status; got != StatusDispatched {
		t.Errorf("the second change is %q, want dispatched", got)
	}
}

// TestAnyLog plays random logs: a shipment leaves or is cancelled, never both, whoever asks is answered, and
// the log folds to the same row again.
func TestAnyLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		event := rapid.SampledFrom([]any{lamps, Cancel{}, byDHL, byDHL2, Deliver{}, Scheduled{}})
		events := rapid.SliceOfN(event, 1, 20).Draw(t, "events")
		var s, again State
		said := map[string]int{}
		for _, e := range events {
			r := apply(t, s, e)
			for _, o := range r.Outputs {
				said[strings.Fields(spoken(o.Answer))[0]]++
			}
			s = r.State
		}
		for _, e := range events {
			again = apply(t, again, e).State
		}
		checkWay(t, s, said)
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("folded again %+v, want %+v", again, s)
		}
	})
}

// checkWay checks how often each answer was given over the whole way of a shipment.
func checkWay(t *rapid.T, s State, said map[string]int) {
	want := map[Status]string{
		None: "0 0 0 0", StatusScheduled: "1 0 0 0", StatusDispatched: "1 1 0 0",
		StatusDelivered: "1 1 1 0", StatusCancelled: "1 0 0 1",
	}[s.Status]
	got := fmt.Sprint(said["Scheduled"], said["Dispatched"], said["Delivered"], said["Cancelled"])
	if got != want || len(s.History) > 3 {
		t.Fatalf("%s after %+v: answers %s, want %s", s.Status, s.History, got, want)
	}
}

// tell plays a story on an order without shipment.
func tell(t *testing.T, story string, rows []row) {
	t.Run(story, func(t *testing.T) {
		var s State
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
	m := Message{OrderID: "o1", At: 1, RulesVersion: RulesVersion, Event: event}
	before := s
	before.Lines, before.History = slices.Clone(s.Lines), slices.Clone(s.History)
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

// rendered is a result as the rows of a story expect it.
func rendered(r Result) string {
	var parts []string
	switch {
	case r.Refusal != "":
		parts = append(parts, "refused: "+r.Refusal)
	case r.Inapplicable != "":
		parts = append(parts, "unfit: "+r.Inapplicable)
	}
	for _, o := range r.Outputs {
		parts = append(parts, spoken(o.Answer))
	}
	stands := []string{r.State.Status.String()}
	for _, l := range r.State.Lines {
		stands = append(stands, fmt.Sprintf("%s:%d", l.SKU, l.Quantity))
	}
	if r.State.Carrier != "" {
		stands = append(stands, r.State.Carrier, r.State.TrackingNumber)
	}
	return strings.Join(append(parts, strings.Join(stands, " ")), " | ")
}

func spoken(answer any) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", answer), "shipment.")
	if d, ok := answer.(Dispatched); ok {
		return name + " " + d.Carrier + " " + d.TrackingNumber
	}
	return name
}
