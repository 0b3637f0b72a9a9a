package inventory

import (
	"fmt"
	"math"
	"reflect"
	"testing"
)

// lots is more than a warehouse has.
const lots = MaxQuantity

func TestReceive(t *testing.T) {
	tell(t, "goods arrive where no location is named", []row{
		{Receive{Quantity: 5}, "main 5/0"},
		{Receive{Quantity: 2, Location: "main"}, "main 7/0"},
	})
	tell(t, "locations are kept by name", []row{
		{Receive{Quantity: 5, Location: "b"}, "b 5/0"},
		{Receive{Quantity: 1, Location: "a"}, "a 1/0 b 5/0"},
		{Receive{Quantity: 2, Location: "c"}, "a 1/0 b 5/0 c 2/0"},
	})
	tell(t, "a receipt that is repeated counts once", []row{
		{Receive{ID: "r1", Quantity: 5}, "main 5/0"},
		{Receive{ID: "r1", Quantity: 5}, "main 5/0"},
		{Receive{ID: "r1", Quantity: 5, Location: "main"}, "main 5/0"},
		{Receive{ID: "r2", Quantity: 5}, "main 10/0"},
	})
	tell(t, "an ID with other content is a conflict", []row{
		{Receive{ID: "r1", Quantity: 5}, "main 5/0"},
		{Receive{ID: "r1", Quantity: 6}, "refused: id_conflict | main 5/0"},
		{Receive{ID: "r1", Quantity: 5, Location: "a"}, "refused: id_conflict | main 5/0"},
		{Receive{ID: "r1", Quantity: 5, Reference: "PO 7"}, "refused: id_conflict | main 5/0"},
		{Adjust{ID: "r1", Quantity: 5}, "refused: id_conflict | main 5/0"},
	})
	tell(t, "two deliveries of as many units are told apart by their references", []row{
		{Receive{ID: "r1", Quantity: 5, Reference: "PO 7"}, "main 5/0"},
		{Receive{ID: "r1", Quantity: 5, Reference: "PO 7"}, "main 5/0"},
		{Receive{ID: "r1", Quantity: 5, Reference: "PO 8"}, "refused: id_conflict | main 5/0"},
		{Receive{ID: "r1", Quantity: 5}, "refused: id_conflict | main 5/0"},
	})
	tell(t, "a receipt without ID counts each time", []row{
		{Receive{Quantity: 5}, "main 5/0"},
		{Receive{Quantity: 5}, "main 10/0"},
	})
	tell(t, "a repeat does not serve the queue", []row{
		{Receive{ID: "r1", Quantity: 5}, "main 5/0"},
		{Reserve{"o1", 8, OrQueue}, "o1 queued of 5 | main 5/0 | o1 8"},
		{Receive{ID: "r1", Quantity: 5}, "main 5/0 | o1 8"},
	})
}

func TestAdjust(t *testing.T) {
	tell(t, "a count may go up, down and to zero", []row{
		{Adjust{Quantity: 5, Reason: "count"}, "main 5/0"},
		{Adjust{Quantity: -2, Reason: "damage"}, "main 3/0"},
		{Adjust{Quantity: -3, Reason: "loss"}, "main 0/0"},
	})
	tell(t, "nothing is on hand where nothing is known", []row{
		{Adjust{Quantity: -1}, "refused: below_zero | "},
		{Reserve{"o1", 1, Exact}, "o1 refused unknown_sku of 0 | "},
		{Receive{Quantity: 5}, "main 5/0"},
		{Adjust{Quantity: -1, Location: "a"}, "refused: below_zero | main 5/0"},
		{Adjust{Quantity: -6}, "refused: below_zero | main 5/0"},
	})
	tell(t, "what orders hold can't be adjusted away", []row{
		{Receive{Quantity: 5}, "main 5/0"},
		{Receive{Quantity: 9, Location: "z"}, "main 5/0 z 9/0"},
		{Reserve{"o1", 4, Exact}, "o1 reserved main:4 | main 5/4 z 9/0"},
		{Adjust{Quantity: -2}, "refused: below_reserved | main 5/4 z 9/0"},
		{Adjust{Quantity: -1}, "main 4/4 z 9/0"},
	})
	tell(t, "an adjustment that is repeated counts once, another one of its ID is a conflict", []row{
		{Adjust{ID: "a1", Quantity: 5, Reason: "count"}, "main 5/0"},
		{Adjust{ID: "a1", Quantity: 5, Reason: "count"}, "main 5/0"},
		{Adjust{ID: "a1", Quantity: 5, Reason: "return"}, "refused: id_conflict | main 5/0"},
		{Adjust{ID: "a1", Quantity: -5, Reason: "count"}, "refused: id_conflict | main 5/0"},
	})
	tell(t, "a refused adjustment is not remembered", []row{
		{Adjust{ID: "a1", Quantity: -5}, "refused: below_zero | "},
		{Adjust{ID: "a1", Quantity: 7}, "main 7/0"},
	})
	tell(t, "an adjustment upwards serves the queue", []row{
		{Reserve{"o1", 3, OrQueue}, "o1 queued of 0 |  | o1 3"},
		{Adjust{Quantity: 2}, "main 2/0 | o1 3"},
		{Adjust{Quantity: 2}, "o1 reserved main:3 | main 4/3"},
	})
}

func TestReserve(t *testing.T) {
	tell(t, "exact is all or none", []row{
		{Receive{Quantity: 5}, "main 5/0"},
		{Reserve{"o1", 3, Exact}, "o1 reserved main:3 | main 5/3"},
		{Reserve{"o2", 3, Exact}, "o2 refused held_by_others of 2 | main 5/3"},
		{Reserve{"o2", 6, Exact}, "o2 refused insufficient of 2 | main 5/3"},
		{Reserve{"o2", 2, Exact}, "o2 reserved main:2 | main 5/5"},
		{Reserve{"o3", 1, Exact}, "o3 refused held_by_others of 0 | main 5/5"},
	})
	tell(t, "up to gives what there is, down to none", []row{
		{Receive{Quantity: 5}, "main 5/0"},
		{Reserve{"o1", 3, UpTo}, "o1 reserved main:3 | main 5/3"},
		{Reserve{"o2", 3, UpTo}, "o2 reserved main:2 of 2 | main 5/5"},
		{Reserve{"o3", 3, UpTo}, "o3 refused held_by_others of 0 | main 5/5"},
		{Reserve{"o3", 6, UpTo}, "o3 refused held_by_others of 0 | main 5/5"},
	})
	tell(t, "a SKU is unknown until something of it was received or counted", []row{
		{Reserve{"o1", 1, Exact}, "o1 refused unknown_sku of 0 | "},
		{Reserve{"o1", 1, UpTo}, "o1 refused unknown_sku of 0 | "},
		{Adjust{Quantity: 1}, "main 1/0"},
		{Adjust{Quantity: -1}, "main 0/0"},
		{Reserve{"o1", 1, UpTo}, "o1 refused insufficient of 0 | main 0/0"},
	})
	tell(t, "an unknown SKU may be waited for, and is unknown to the others still", []row{
		{Reserve{"o1", 1, OrQueue}, "o1 queued of 0 |  | o1 1"},
		{Reserve{"o2", 1, Exact}, "o2 refused unknown_sku of 0 |  | o1 1"},
	})
	tell(t, "one location that has it all goes before several", []row{
		{Receive{Quantity: 2, Location: "a"}, "a 2/0"},
		{Receive{Quantity: 4, Location: "b"}, "a 2/0 b 4/0"},
		{Receive{Quantity: 4, Location: "c"}, "a 2/0 b 4/0 c 4/0"},
		{Reserve{"o1", 3, Exact}, "o1 reserved b:3 | a 2/0 b 4/3 c 4/0"},
		{Reserve{"o2", 2, Exact}, "o2 reserved a:2 | a 2/2 b 4/3 c 4/0"},
		{Reserve{"o3", 5, Exact}, "o3 reserved b:1 c:4 | a 2/2 b 4/4 c 4/4"},
	})
	tell(t, "several locations give in the order of their names", []row{
		{Receive{Quantity: 2, Location: "a"}, "a 2/0"},
		{Receive{Quantity: 4, Location: "b"}, "a 2/0 b 4/0"},
		{Reserve{"o1", 5, UpTo}, "o1 reserved a:2 b:3 | a 2/2 b 4/3"},
		{Reserve{"o2", 5, UpTo}, "o2 reserved b:1 of 1 | a 2/2 b 4/4"},
	})
}

func TestQueue(t *testing.T) {
	tell(t, "first in, first out, each line whole", []row{
		{Receive{Quantity: 2}, "main 2/0"},
		{Reserve{"o1", 5, OrQueue}, "o1 queued of 2 | main 2/0 | o1 5"},
		{Reserve{"o2", 1, OrQueue}, "o2 queued of 2 | main 2/0 | o1 5 o2 1"},
		{Reserve{"o3", 2, OrQueue}, "o3 queued of 2 | main 2/0 | o1 5 o2 1 o3 2"},
		{Receive{Quantity: 2}, "main 4/0 | o1 5 o2 1 o3 2"},
		{Receive{Quantity: 3}, "o1 reserved main:5; o2 reserved main:1 | main 7/6 | o3 2"},
		{Receive{Quantity: 1}, "o3 reserved main:2 | main 8/8"},
	})
	tell(t, "whoever waits comes first, even if a newcomer would fit", []row{
		{Receive{Quantity: 2}, "main 2/0"},
		{Reserve{"o1", 3, OrQueue}, "o1 queued of 2 | main 2/0 | o1 3"},
		{Reserve{"o2", 1, Exact}, "o2 refused queue_ahead of 2 | main 2/0 | o1 3"},
		{Reserve{"o3", 1, UpTo}, "o3 refused queue_ahead of 2 | main 2/0 | o1 3"},
		{Reserve{"o4", 9, Exact}, "o4 refused queue_ahead of 2 | main 2/0 | o1 3"},
	})
	tell(t, "what is given back goes to those who wait", []row{
		{Receive{Quantity: 4}, "main 4/0"},
		{Reserve{"o1", 4, OrQueue}, "o1 reserved main:4 | main 4/4"},
		{Reserve{"o2", 3, OrQueue}, "o2 queued of 0 | main 4/4 | o2 3"},
		{Release{"o1", []Allocation{{"main", 4}}}, "o2 reserved main:3 | main 4/3"},
	})
	tell(t, "when the head leaves, those behind may fit", []row{
		{Receive{Quantity: 2}, "main 2/0"},
		{Reserve{"o1", 3, OrQueue}, "o1 queued of 2 | main 2/0 | o1 3"},
		{Reserve{"o2", 1, OrQueue}, "o2 queued of 2 | main 2/0 | o1 3 o2 1"},
		{Reserve{"o3", 1, OrQueue}, "o3 queued of 2 | main 2/0 | o1 3 o2 1 o3 1"},
		{Reserve{"o4", 1, OrQueue}, "o4 queued of 2 | main 2/0 | o1 3 o2 1 o3 1 o4 1"},
		{Withdraw{"o3"}, "o3 withdrawn | main 2/0 | o1 3 o2 1 o4 1"},
		{Withdraw{"o1"}, "o1 withdrawn; o2 reserved main:1; o4 reserved main:1 | main 2/2"},
		{Withdraw{"o2"}, "o2 not waiting | main 2/2"},
	})
	tell(t, "a withdrawal is answered whatever there is", []row{
		{Withdraw{"o1"}, "o1 not waiting | "},
	})
	tell(t, "a waiting line may be given units of several locations", []row{
		{Reserve{"o1", 4, OrQueue}, "o1 queued of 0 |  | o1 4"},
		{Receive{Quantity: 3, Location: "b"}, "b 3/0 | o1 4"},
		{Receive{Quantity: 3, Location: "a"}, "o1 reserved a:3 b:1 | a 3/3 b 3/1"},
	})
}

func TestReleaseAndShip(t *testing.T) {
	tell(t, "shipping lowers on-hand and reserved together", []row{
		{Receive{Quantity: 5}, "main 5/0"},
		{Reserve{"o1", 3, Exact}, "o1 reserved main:3 | main 5/3"},
		{Ship{"o1", []Allocation{{"main", 3}}}, "main 2/0"},
	})
	tell(t, "shipping leaves the queue waiting", []row{
		{Receive{Quantity: 5}, "main 5/0"},
		{Reserve{"o1", 3, OrQueue}, "o1 reserved main:3 | main 5/3"},
		{Reserve{"o2", 3, OrQueue}, "o2 queued of 2 | main 5/3 | o2 3"},
		{Ship{"o1", []Allocation{{"main", 3}}}, "main 2/0 | o2 3"},
	})
	tell(t, "what is not held can't be given back or shipped, and none of it is", []row{
		{Receive{Quantity: 5, Location: "a"}, "a 5/0"},
		{Receive{Quantity: 5, Location: "b"}, "a 5/0 b 5/0"},
		{Reserve{"o1", 7, Exact}, "o1 reserved a:5 b:2 | a 5/5 b 5/2"},
		{Release{"o1", []Allocation{{"a", 5}, {"b", 3}}},
			`unfit: order "o1" returns or ships 3 of "lamp" at "b", expected at most the 2 reserved there | a 5/5 b 5/2`},
		{Ship{"o1", []Allocation{{"a", 5}, {"b", 3}}},
			`unfit: order "o1" returns or ships 3 of "lamp" at "b", expected at most the 2 reserved there | a 5/5 b 5/2`},
		{Ship{"o1", []Allocation{{"a", 5}, {"c", 1}}},
			`unfit: order "o1" returns or ships 1 of "lamp" at "c", expected one of its locations | a 5/5 b 5/2`},
		{Release{"o1", []Allocation{{"a", 3}, {"a", 3}}},
			`unfit: order "o1" returns or ships 3 of "lamp" at "a", expected at most the 2 reserved there | a 5/5 b 5/2`},
		{Release{"o1", []Allocation{{"a", 5}, {"b", 2}}}, "a 5/0 b 5/0"},
	})
}

func TestInapplicable(t *testing.T) {
	tell(t, "an event of another machine", []row{
		{Allocation{}, "unfit: a message of type inventory.Allocation, expected a Receive, Adjust, Reserve, Release, Ship or Withdraw | "},
		{nil, "unfit: a message of type <nil>, expected a Receive, Adjust, Reserve, Release, Ship or Withdraw | "},
	})
	for _, rules := range []uint32{0, RulesVersion + 1, math.MaxUint32} {
		got := Apply(State{}, Message{SKU: "lamp", RulesVersion: rules, Event: Receive{Quantity: 1}})
		if want := fmt.Sprintf("rules number %d, expected 1", rules); got.Inapplicable != want || got.State.Known {
			t.Errorf("rules %d: %+v", rules, got)
		}
	}
}

// The bounds that keep a row short are reached by a loop and then told.

func TestQueueIsBounded(t *testing.T) {
	var s State
	for i := range MaxQueue {
		s = apply(t, s, Reserve{fmt.Sprintf("o%d", i), 1, OrQueue}).State
	}
	r := apply(t, s, Reserve{"late", 1, OrQueue})
	if want := "late refused queue_full of 0"; said(r) != want || len(r.State.Queue) != MaxQueue {
		t.Errorf("got %q with %d waiting, want %q", said(r), len(r.State.Queue), want)
	}
	r = apply(t, s, Receive{Quantity: lots})
	if len(r.Outputs) != MaxQueue || r.State.Queue != nil {
		t.Errorf("%d served and %d left, want all and a queue that is nil", len(r.Outputs), len(r.State.Queue))
	}
}

func TestLocationsAreBounded(t *testing.T) {
	var s State
	for i := range MaxLocations {
		s = apply(t, s, Receive{Quantity: 1, Location: fmt.Sprintf("l%d", i)}).State
	}
	for _, e := range []any{Receive{Quantity: 1, Location: "more"}, Adjust{Quantity: 1, Location: "more"}} {
		if got := said(apply(t, s, e)); got != "refused: "+RefusalTooManyLocations {
			t.Errorf("%T: %q", e, got)
		}
	}
	if got := said(apply(t, s, Receive{Quantity: 1, Location: "l7"})); got != "" {
		t.Errorf("a location that is there: %q", got)
	}
}

func TestOnHandIsBounded(t *testing.T) {
	s := State{Known: true, Locations: []Stock{{Location: "a", OnHand: MaxOnHand - 5}}}
	tellFrom(t, "over all locations", s, []row{
		{Receive{Quantity: 6, Location: "b"}, "refused: too_many | a 999999999999995/0"},
		{Adjust{Quantity: 6}, "refused: too_many | a 999999999999995/0"},
		{Receive{Quantity: 5, Location: "b"}, "a 999999999999995/0 b 5/0"},
		{Receive{Quantity: 1, Location: "a"}, "refused: too_many | a 999999999999995/0 b 5/0"},
	})
}

func TestOldestIsForgotten(t *testing.T) {
	var s State
	for i := range MaxRemembered + 1 {
		s = apply(t, s, Receive{ID: fmt.Sprint(i), Quantity: 1}).State
	}
	if len(s.Remembered) != MaxRemembered {
		t.Fatalf("%d are remembered", len(s.Remembered))
	}
	if s := apply(t, s, Receive{ID: "1", Quantity: 1}).State; s.OnHand() != MaxRemembered+1 {
		t.Error("the oldest that is remembered counted again")
	}
	if s := apply(t, s, Receive{ID: "0", Quantity: 1}).State; s.OnHand() != MaxRemembered+2 {
		t.Error("the one before it is remembered still")
	}
}

func TestWithoutIDNothingIsForgotten(t *testing.T) {
	s := apply(t, State{}, Receive{ID: "r1", Quantity: 1}).State
	for range MaxRemembered {
		s = apply(t, s, Receive{Quantity: 1}).State
	}
	if len(s.Remembered) != 1 {
		t.Errorf("%d are remembered, want the one that has an ID", len(s.Remembered))
	}
}

// Rows hold these hashes, so they may never change. They were computed apart from this program.
func TestHashesAreForEver(t *testing.T) {
	for _, c := range []struct {
		event any
		want  Remembered
	}{
		{Adjust{ID: "a1", Quantity: 3, Reason: "count", Location: "b"}, Remembered{ID: 0xf55ff16f66f43360, Content: 0x1b9d960dba49b799}},
		{Receive{ID: "r1", Quantity: 5}, Remembered{ID: 0x82f3e9c695dc6b8d, Content: 0xf2a3b66e690a4465}},
		{Receive{ID: "r1", Quantity: 5, Reference: "PO 7"}, Remembered{ID: 0x82f3e9c695dc6b8d, Content: 0x708f547db0385e8d}},
	} {
		if got := apply(t, State{}, c.event).State.Remembered[0]; got != c.want {
			t.Errorf("%+v is remembered as %#x, want %#x", c.event, got, c.want)
		}
	}
}

func TestQueueKeepsWhenALineCame(t *testing.T) {
	r := Apply(State{}, Message{SKU: "lamp", At: 42, RulesVersion: 1, Event: Reserve{"o1", 3, OrQueue}})
	if want := []Waiting{{"o1", 3, 42}}; !reflect.DeepEqual(r.State.Queue, want) {
		t.Errorf("%+v, want %+v", r.State.Queue, want)
	}
}

// A row may be kept while others are made of it, so what one fold appends must not show in another's result.
func TestRowsShareNothingThatGrows(t *testing.T) {
	s := apply(t, State{}, Reserve{"o1", 9, OrQueue}).State
	s = apply(t, s, Receive{ID: "r1", Quantity: 1}).State
	s.Queue = append(make([]Waiting, 0, 9), s.Queue...)
	s.Remembered = append(make([]Remembered, 0, 9), s.Remembered...)
	s.Locations = append(make([]Stock, 0, 9), s.Locations...)
	queued, received := apply(t, s, Reserve{"o2", 1, OrQueue}), apply(t, s, Receive{ID: "r2", Quantity: 1, Location: "x"})
	hash := received.State.Remembered[1]
	apply(t, s, Reserve{"o3", 1, OrQueue})
	apply(t, s, Receive{ID: "r3", Quantity: 1, Location: "y"})
	got := fmt.Sprint(queued.State.Queue[1].OrderID, received.State.Locations[1].Location, received.State.Remembered[1] == hash)
	if got != "o2xtrue" {
		t.Errorf("got %s, want o2xtrue", got)
	}
}
