package order

import (
	"fmt"
	"math"
	"reflect"
	"testing"

	"stockflow/machines/inventory"
	"stockflow/machines/shipment"
)

func TestPlace(t *testing.T) {
	tell(t, "each policy asks in its way", []row{
		{placed(AllOrNothing, "lamp 2"), "reserve exact 2 lamp | pending: lamp pending"},
	})
	tell(t, "partial", []row{
		{placed(Partial, "lamp 2"), "reserve up to 2 lamp | pending: lamp pending"},
	})
	tell(t, "backorder", []row{
		{placed(Backorder, "lamp 2"), "reserve or queue 2 lamp | pending: lamp pending"},
	})
	tell(t, "a SKU is asked for once", []row{
		{placed(AllOrNothing, "vase 1", "lamp 2", "vase 3", "lamp 1000000000"),
			"reserve exact 1000000002 lamp; reserve exact 4 vase | pending: lamp pending, vase pending"},
	})
	tell(t, "the same placement once more changes nothing", []row{
		{placed(AllOrNothing, "vase 4", "lamp 2"), "reserve exact 2 lamp; reserve exact 4 vase | pending: lamp pending, vase pending"},
		{placed(AllOrNothing, "vase 4", "lamp 2"), "pending: lamp pending, vase pending"},
		{placed(AllOrNothing, "lamp 1", "vase 4", "lamp 1"), "pending: lamp pending, vase pending"},
		{given("lamp 2"), "pending: lamp reserved 2, vase pending"},
		{given("vase 4"), "pack [{lamp 2} {vase 4}] | confirmed: lamp reserved 2, vase reserved 4"},
		{placed(AllOrNothing, "vase 4", "lamp 2"), "confirmed: lamp reserved 2, vase reserved 4"},
	})
	tell(t, "another placement of the same id is a conflict", []row{
		{placed(AllOrNothing, "lamp 2"), "reserve exact 2 lamp | pending: lamp pending"},
		{placed(AllOrNothing, "lamp 3"), "refused: id_conflict | pending: lamp pending"},
		{placed(AllOrNothing, "vase 2"), "refused: id_conflict | pending: lamp pending"},
		{placed(AllOrNothing, "lamp 2", "vase 1"), "refused: id_conflict | pending: lamp pending"},
		{placed(Partial, "lamp 2"), "refused: id_conflict | pending: lamp pending"},
		{Placed{ShipTo: "Paris", Lines: []PlacedLine{{"lamp", 2}}}, "refused: id_conflict | pending: lamp pending"},
		{Placed{Customer: Customer{ID: "c"}, Lines: []PlacedLine{{"lamp", 2}}}, "refused: id_conflict | pending: lamp pending"},
		{Placed{Customer: Customer{Name: "c"}, Lines: []PlacedLine{{"lamp", 2}}}, "refused: id_conflict | pending: lamp pending"},
		{Placed{Customer: Customer{Email: "c"}, Lines: []PlacedLine{{"lamp", 2}}}, "refused: id_conflict | pending: lamp pending"},
	})
}

func TestAllOrNothing(t *testing.T) {
	tell(t, "everything is there", []row{
		{placed(AllOrNothing, "lamp 2", "vase 1"), "reserve exact 2 lamp; reserve exact 1 vase | pending: lamp pending, vase pending"},
		{given("vase 1"), "pending: lamp pending, vase reserved 1"},
		{given("lamp 2"), "pack [{lamp 2} {vase 1}] | confirmed: lamp reserved 2, vase reserved 1"},
	})
	tell(t, "one line is refused: the others are given back", []row{
		{placed(AllOrNothing, "lamp 2", "mug 1", "vase 1"),
			"reserve exact 2 lamp; reserve exact 1 mug; reserve exact 1 vase | pending: lamp pending, mug pending, vase pending"},
		{given("lamp 2"), "pending: lamp reserved 2, mug pending, vase pending"},
		{refused("mug", "insufficient"), "pending: lamp reserved 2, mug refused insufficient, vase pending"},
		{given("vase 1"), "release lamp main:2; release vase main:1 | rejected lines_refused: lamp released, mug refused insufficient, vase released"},
	})
	tell(t, "nothing is there", []row{
		{placed(AllOrNothing, "lamp 2"), "reserve exact 2 lamp | pending: lamp pending"},
		{refused("lamp", "unknown_sku"), "rejected lines_refused: lamp refused unknown_sku"},
	})
}

func TestPartial(t *testing.T) {
	tell(t, "each line what there is, down to none", []row{
		{placed(Partial, "lamp 2", "mug 1", "vase 3"),
			"reserve up to 2 lamp; reserve up to 1 mug; reserve up to 3 vase | pending: lamp pending, mug pending, vase pending"},
		{refused("mug", "insufficient"), "pending: lamp pending, mug refused insufficient, vase pending"},
		{given("lamp 2"), "pending: lamp reserved 2, mug refused insufficient, vase pending"},
		{givenOf("vase 1"), "pack [{lamp 2} {vase 1}] | confirmed: lamp reserved 2, mug refused insufficient, vase reserved 1"},
		{byDHL, "ship lamp main:2; ship vase main:1 | shipped: lamp shipped 2, mug refused insufficient, vase shipped 1"},
	})
	tell(t, "nothing at all", []row{
		{placed(Partial, "lamp 2", "mug 1"), "reserve up to 2 lamp; reserve up to 1 mug | pending: lamp pending, mug pending"},
		{refused("mug", "queue_ahead"), "pending: lamp pending, mug refused queue_ahead"},
		{refused("lamp", "held_by_others"), "rejected nothing_available: lamp refused held_by_others, mug refused queue_ahead"},
	})
}

func TestBackorder(t *testing.T) {
	tell(t, "lines wait until their units are there", []row{
		{placed(Backorder, "lamp 2", "mug 1", "vase 3"),
			"reserve or queue 2 lamp; reserve or queue 1 mug; reserve or queue 3 vase | pending: lamp pending, mug pending, vase pending"},
		{queued("lamp"), "pending: lamp waiting, mug pending, vase pending"},
		{queued("vase"), "pending: lamp waiting, mug pending, vase waiting"},
		{given("mug 1"), "backordered: lamp waiting, mug reserved 1, vase waiting"},
		{given("vase 3"), "backordered: lamp waiting, mug reserved 1, vase reserved 3"},
		{given("lamp 2"), "pack [{lamp 2} {mug 1} {vase 3}] | confirmed: lamp reserved 2, mug reserved 1, vase reserved 3"},
	})
	tell(t, "a line is served before the others have answered", []row{
		{placed(Backorder, "lamp 2", "mug 1"), "reserve or queue 2 lamp; reserve or queue 1 mug | pending: lamp pending, mug pending"},
		{queued("lamp"), "pending: lamp waiting, mug pending"},
		{given("lamp 2"), "pending: lamp reserved 2, mug pending"},
		{given("mug 1"), "pack [{lamp 2} {mug 1}] | confirmed: lamp reserved 2, mug reserved 1"},
	})
	tell(t, "a queue is full: those who wait are withdrawn, and then everything goes back at once", []row{
		{placed(Backorder, "lamp 2", "mug 1", "vase 3"),
			"reserve or queue 2 lamp; reserve or queue 1 mug; reserve or queue 3 vase | pending: lamp pending, mug pending, vase pending"},
		{queued("lamp"), "pending: lamp waiting, mug pending, vase pending"},
		{given("vase 3"), "pending: lamp waiting, mug pending, vase reserved 3"},
		{refused("mug", "queue_full"), "withdraw lamp | rejected lines_refused: lamp withdrawing, mug refused queue_full, vase reserved 3"},
		{withdrawn("lamp"), "release vase main:3 | rejected lines_refused: lamp withdrawn, mug refused queue_full, vase released"},
	})
	tell(t, "a queue is full and nobody waits: everything goes back at once", []row{
		{placed(Backorder, "mug 1", "vase 3"), "reserve or queue 1 mug; reserve or queue 3 vase | pending: mug pending, vase pending"},
		{refused("mug", "queue_full"), "pending: mug refused queue_full, vase pending"},
		{given("vase 3"), "release vase main:3 | rejected lines_refused: mug refused queue_full, vase released"},
	})
}

func TestAvailableIsWhatThereWas(t *testing.T) {
	s := tell(t, "told", []row{
		{placed(Partial, "lamp 2", "mug 1"), "reserve up to 2 lamp; reserve up to 1 mug | pending: lamp pending, mug pending"},
		{givenOf("lamp 1"), "pending: lamp reserved 1, mug pending"},
		{refused("mug", "held_by_others"), "pack [{lamp 1}] | confirmed: lamp reserved 1, mug refused held_by_others"},
	})
	if s.Lines[0].Available != 1 || s.Lines[1].Available != 1 {
		t.Errorf("%+v", s.Lines)
	}
	s = tell(t, "forgotten once the line is served", []row{
		{placed(Backorder, "lamp 2"), "reserve or queue 2 lamp | pending: lamp pending"},
		{queued("lamp"), "backordered: lamp waiting"},
		{given("lamp 2"), "pack [{lamp 2}] | confirmed: lamp reserved 2"},
	})
	if s.Lines[0].Available != 0 {
		t.Errorf("%+v", s.Lines)
	}
}

func TestHistorySpeaksOfTheLogsTime(t *testing.T) {
	var s State
	events := []any{placed(Backorder, "lamp 2"), queued("lamp"), given("lamp 2"), byDHL, shipment.Delivered{}}
	for i, e := range events {
		s = Apply(s, Message{OrderID: "o1", At: int64(i + 1), RulesVersion: RulesVersion, Event: e}).State
	}
	want := []Change{{Pending, 1}, {Backordered, 2}, {Confirmed, 3}, {Shipped, 4}, {Delivered, 5}}
	if !reflect.DeepEqual(s.History, want) {
		t.Errorf("%+v, want %+v", s.History, want)
	}
}

// Rows hold it, so it may never change. It was computed apart from this program.
func TestFingerprintIsForEver(t *testing.T) {
	p := withMail(Backorder, "vase 3", "lamp 1", "lamp 1")
	p.ShipTo = "Paris"
	s := apply(t, State{}, p).State
	if got, want := fmt.Sprintf("%x", s.Fingerprint), "813c66b2fda17694a45b47aebb1041fa"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestUnfit(t *testing.T) {
	tell(t, "an event of another machine", []row{
		{inventory.Receive{}, "unfit: a message of type inventory.Receive, expected a Placed, a Cancel or an answer to an order | "},
		{nil, "unfit: a message of type <nil>, expected a Placed, a Cancel or an answer to an order | "},
	})
	for _, rules := range []uint32{0, RulesVersion + 1, math.MaxUint32} {
		got := Apply(State{}, Message{OrderID: "o1", RulesVersion: rules, Event: placed(Partial, "lamp 1")})
		if want := fmt.Sprintf("rules number %d, expected 1", rules); got.Inapplicable != want || got.State.Status != None {
			t.Errorf("rules %d: %+v", rules, got)
		}
	}
}

// A row may be kept while others are made of it, so what one fold appends must not show in another's result.
func TestRowsShareNothingThatGrows(t *testing.T) {
	s := apply(t, State{}, placed(Backorder, "lamp 2")).State
	s.History = append(make([]Change, 0, 9), s.History...)
	first := apply(t, s, queued("lamp"))
	apply(t, s, Cancel{})
	if got := first.State.History[1].Status; got != Backordered {
		t.Errorf("the second change is %q, want backordered", got)
	}
}
