package order

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"stockflow/machines/inventory"
	"stockflow/machines/shipment"
)

// TestAnyWay leads one order through anything that its neighbours may answer, in any interleaving that may
// happen: the answers of one SKU in their order, different SKUs and the shipment arbitrarily. At every step
// the order stands where it may stand, and in the end it has settled with everybody.
func TestAnyWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, shelves: map[string]*shelf{}}
		w.tell(drawPlaced(t))
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			w.step()
		}
		w.settle()
		w.checkSettled()
		w.checkReplay()
	})
}

// world is all that one order knows of.
type world struct {
	t       *rapid.T
	row     State
	events  []any
	shelves map[string]*shelf
	skus    []string // of shelves, in the order in which they were asked
	parcel  shipment.State
	hears   []any // what the shipment has answered and the order hasn't heard
}

// shelf is the stock of one SKU as this order sees it.
type shelf struct {
	sku, stands string // stands: "", "queued", "held", "done"
	asked       int64
	held        []inventory.Allocation
	hears       []any // what it has answered and the order hasn't heard
}

func drawPlaced(t *rapid.T) Placed {
	p := placed(rapid.SampledFrom([]Policy{AllOrNothing, Partial, Backorder, Backorder}).Draw(t, "policy"))
	for range rapid.IntRange(1, 5).Draw(t, "lines") {
		sku := rapid.SampledFrom([]string{"lamp", "mug", "vase"}).Draw(t, "sku")
		p.Lines = append(p.Lines, PlacedLine{sku, rapid.Int64Range(1, 3).Draw(t, "quantity")})
	}
	return p
}

// step lets something happen somewhere.
func (w *world) step() {
	rapid.SampledFrom([]func(){w.hear, w.hear, w.hear, w.serve, w.cancel, w.leave, w.arrive, w.nonsense}).Draw(w.t, "step")()
}

// tell applies a message that fits, and hands on what the order sends.
func (w *world) tell(event any) {
	before := w.row
	r := apply(w.t, before, event)
	if r.Inapplicable != "" {
		w.t.Fatalf("%T%+v: %s\non %s", event, event, r.Inapplicable, standing(before))
	}
	w.row, w.events = r.State, append(w.events, event)
	w.checkChange(before)
	for _, o := range r.Outputs {
		w.pass(o)
	}
}

// pass hands an output to its neighbour, which answers by chance within its rules.
func (w *world) pass(o Output) {
	switch c := o.Command.(type) {
	case inventory.Reserve:
		w.skus = append(w.skus, o.Key)
		w.shelves[o.Key] = &shelf{sku: o.Key, asked: c.Quantity}
		w.shelves[o.Key].decide(w.t, c)
	case inventory.Withdraw:
		w.shelves[o.Key].leaveQueue()
	case inventory.Release:
		w.settleWith(o.Key, c.Allocations, w.row.Status == Rejected || w.row.Status == Cancelled)
	case inventory.Ship:
		w.settleWith(o.Key, c.Allocations, w.row.Status == Shipped)
	case shipment.Schedule:
		w.ship(c)
	case shipment.Cancel:
		w.ship(c)
	}
}

func (s *shelf) decide(t *rapid.T, c inventory.Reserve) {
	choices := map[inventory.Mode][]string{
		inventory.Exact: {"give", "refuse"}, inventory.UpTo: {"give", "give one", "refuse"},
		inventory.OrQueue: {"give", "queue", "queue", "refuse"},
	}
	switch rapid.SampledFrom(choices[c.Mode]).Draw(t, "answer") {
	case "give":
		s.give(c.Quantity, 0)
	case "give one":
		s.give(1, 1)
	case "queue":
		s.stands = "queued"
		s.hears = append(s.hears, queued(s.sku))
	case "refuse":
		s.hears = append(s.hears, refused(s.sku, "insufficient"))
	}
}

func (s *shelf) give(quantity, available int64) {
	s.stands, s.held = "held", []inventory.Allocation{{Location: "main", Quantity: quantity}}
	s.hears = append(s.hears, inventory.Reserved{SKU: s.sku, Allocations: s.held, Available: available})
}

func (s *shelf) leaveQueue() {
	if s.stands != "queued" {
		s.hears = append(s.hears, notWaiting(s.sku))
		return
	}
	s.stands = "done"
	s.hears = append(s.hears, withdrawn(s.sku))
}

// settleWith takes back or ships what was given, which must be exactly that, once, and at the right time.
func (w *world) settleWith(sku string, takes []inventory.Allocation, timely bool) {
	s := w.shelves[sku]
	if s.stands != "held" || !reflect.DeepEqual(takes, s.held) || !timely || len(s.hears) > 0 {
		w.t.Fatalf("%s: %+v is settled, held is %+v (%s), unheard %+v", standing(w.row), takes, s.held, s.stands, s.hears)
	}
	s.stands = "done"
}

// hear lets the order hear the next answer of a neighbour.
func (w *world) hear() {
	var talking []*[]any
	for _, sku := range w.skus {
		if len(w.shelves[sku].hears) > 0 {
			talking = append(talking, &w.shelves[sku].hears)
		}
	}
	if len(w.hears) > 0 {
		talking = append(talking, &w.hears)
	}
	if len(talking) == 0 {
		return
	}
	queue := talking[rapid.IntRange(0, len(talking)-1).Draw(w.t, "who")]
	next := (*queue)[0]
	*queue = (*queue)[1:]
	w.tell(next)
}

// serve gives units to a line that waits.
func (w *world) serve() {
	for _, sku := range w.skus {
		if s := w.shelves[sku]; s.stands == "queued" {
			s.give(s.asked, 0)
			return
		}
	}
}

func (w *world) cancel() { w.tell(Cancel{}) }

func (w *world) leave() { w.ship(shipment.Dispatch{Carrier: "DHL", TrackingNumber: "X1"}) }

func (w *world) arrive() { w.ship(shipment.Deliver{}) }

// ship lets something happen to the parcel, by the rules of shipments themselves.
func (w *world) ship(event any) {
	r := shipment.Apply(w.parcel, shipment.Message{OrderID: "o1", RulesVersion: shipment.RulesVersion, Event: event})
	if r.Inapplicable != "" {
		w.t.Fatalf("%T is unfit for the shipment: %s", event, r.Inapplicable)
	}
	w.parcel = r.State
	for _, o := range r.Outputs {
		w.hears = append(w.hears, o.Answer)
	}
}

// nonsense is any answer at all. Whether it fits is not asked, but if it doesn't, nothing may come of it; and
// nothing may panic. The order goes on as if it had not heard it.
func (w *world) nonsense() {
	apply(w.t, w.row, rapid.SampledFrom([]any{
		given("lamp 1"), refused("lamp", "insufficient"), queued("lamp"), withdrawn("lamp"), notWaiting("lamp"),
		given("none 1"), shipment.Scheduled{}, byDHL, shipment.Delivered{}, shipment.Cancelled{}, shipment.NotCancelled{},
	}).Draw(w.t, "nonsense"))
}

// ways are the steps that an order may take.
var ways = map[Status][]Status{
	None:        {Pending},
	Pending:     {Confirmed, Backordered, Rejected, Cancelled},
	Backordered: {Confirmed, Cancelled},
	Confirmed:   {Shipped, Cancelled},
	Shipped:     {Delivered},
}

// checkChange checks that the order took one step at most, and one that it may take.
func (w *world) checkChange(before State) {
	now := w.row
	if now.Status == before.Status {
		if len(now.History) != len(before.History) {
			w.t.Fatalf("%s, and its history grew to %+v", standing(now), now.History)
		}
		return
	}
	last := now.History[len(now.History)-1].Status
	if len(now.History) != len(before.History)+1 || last != now.Status {
		w.t.Fatalf("from %s to %s, with history %+v", before.Status, now.Status, now.History)
	}
	for _, may := range ways[before.Status] {
		if may == now.Status {
			return
		}
	}
	w.t.Fatalf("from %s to %s", before.Status, now.Status)
}

// settle lets everything come to rest.
func (w *world) settle() {
	for range 200 {
		w.hear()
		if rapid.Bool().Draw(w.t, "serve") {
			w.serve()
		}
	}
}

// checkSettled checks that nobody waits for anybody, and that an order that ended holds nothing.
func (w *world) checkSettled() {
	open := map[Status]bool{Confirmed: true, Backordered: true}[w.row.Status]
	if w.row.Status == Pending || w.row.Cancelling {
		w.t.Fatalf("at rest, and %s", standing(w.row))
	}
	for sku, s := range w.shelves {
		l := w.row.Lines[w.row.index(sku)]
		waits := l.Status == LinePending || l.Status == LineWithdrawing || l.Status == LineWaiting && !open
		if waits || s.stands == "held" && !open || (s.stands == "queued") != (l.Status == LineWaiting) {
			w.t.Fatalf("%s, and the shelf of %s is %q", standing(w.row), sku, s.stands)
		}
	}
	if scheduled := w.parcel.Status != shipment.None; scheduled != w.wasConfirmed() {
		w.t.Fatalf("%s, history %+v, with a shipment: %t", standing(w.row), w.row.History, scheduled)
	}
}

func (w *world) wasConfirmed() bool {
	for _, c := range w.row.History {
		if c.Status == Confirmed {
			return true
		}
	}
	return false
}

// index is where a SKU is in the row.
func (s State) index(sku string) int {
	for i, l := range s.Lines {
		if l.SKU == sku {
			return i
		}
	}
	panic(fmt.Sprintf("no line of %q", sku))
}

// checkReplay folds the log again, from nothing.
func (w *world) checkReplay() {
	var s State
	for _, e := range w.events {
		s = Apply(s, Message{OrderID: "o1", At: 1, RulesVersion: RulesVersion, Event: e}).State
	}
	if !reflect.DeepEqual(s, w.row) {
		w.t.Fatalf("replayed %+v\nfirst    %+v", s, w.row)
	}
}
