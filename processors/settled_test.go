package processors_test

import (
	"fmt"
	"reflect"

	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// checkSKU checks what holds of a SKU after each of its messages.
func (h *house) checkSKU(sku string) {
	s := h.stock[sku]
	for _, at := range s.Locations {
		if at.Reserved < 0 || at.OnHand < at.Reserved {
			h.fail("%s: 0 <= reserved <= on hand does not hold of %+v", sku, at)
		}
	}
	if s.Received+s.Adjusted != s.OnHand()+s.Shipped {
		h.fail("%s: received %d + adjusted %d != on hand %d + shipped %d", sku, s.Received, s.Adjusted, s.OnHand(), s.Shipped)
	}
	if len(s.Queue) > inventory.MaxQueue {
		h.fail("%s: %d wait", sku, len(s.Queue))
	}
	if len(s.Queue) > 0 && s.Queue[0].Quantity <= s.Available() {
		h.fail("%s: the head %+v waits for what is there: %d", sku, s.Queue[0], s.Available())
	}
}

// checkOrders checks that every order has settled: it has its outcome, and a shipment that agrees with it.
func (h *house) checkOrders() {
	for id, s := range h.tables.orders {
		h.seen["order "+s.Status.String()]++
		if s.Status == order.Pending || s.Cancelling {
			h.fail("order %s is %s at rest (cancelling: %t)", id, s.Status, s.Cancelling)
		}
		for _, l := range s.Lines {
			h.seen["line "+l.Status.String()]++
			h.seen["reason "+l.Reason]++
			if !lines[s.Status][l.Status] {
				h.fail("order %s is %s at rest, with the line %+v", id, s.Status, l)
			}
		}
		h.checkParcel(id, s)
	}
	for id := range h.parcels {
		if s := h.tables.orders[id].Status; h.parcels[id].Status != shipment.None && parcels[s] == shipment.None {
			h.fail("a shipment for order %s, which is %s", id, s)
		}
	}
}

// lines are where a line may stand at rest, by where its order stands.
var lines = map[order.Status]map[order.LineStatus]bool{
	order.Confirmed:   {order.LineReserved: true, order.LineRefused: true},
	order.Backordered: {order.LineReserved: true, order.LineWaiting: true},
	order.Rejected:    {order.LineRefused: true, order.LineWithdrawn: true, order.LineReleased: true},
	order.Shipped:     {order.LineShipped: true, order.LineRefused: true},
	order.Delivered:   {order.LineShipped: true, order.LineRefused: true},
	order.Cancelled:   {order.LineRefused: true, order.LineWithdrawn: true, order.LineReleased: true},
}

// parcels are where a shipment stands at rest, by where its order stands. One of a cancelled order is there
// if the order was confirmed before.
var parcels = map[order.Status]shipment.Status{
	order.Confirmed: shipment.StatusScheduled,
	order.Shipped:   shipment.StatusDispatched,
	order.Delivered: shipment.StatusDelivered,
	order.Cancelled: shipment.StatusCancelled,
}

// checkParcel checks that an order has the shipment that it should have, with what it was given.
func (h *house) checkParcel(id string, s order.State) {
	want, confirmed := parcels[s.Status], false
	for _, c := range s.History {
		confirmed = confirmed || c.Status == order.Confirmed
	}
	if !confirmed {
		want = shipment.None
	}
	got := h.parcels[id]
	if got.Status != want {
		h.fail("order %s is %s, history %v, its shipment %q", id, s.Status, s.History, got.Status)
	}
	if want == shipment.None || want == shipment.StatusCancelled {
		return
	}
	var packed []shipment.Line
	for _, l := range s.Lines {
		if n := l.Allocated(); n > 0 {
			packed = append(packed, shipment.Line{SKU: l.SKU, Quantity: n})
		}
	}
	if !reflect.DeepEqual(packed, got.Lines) {
		h.fail("order %s was given %v, and its shipment has %v", id, packed, got.Lines)
	}
}

// checkStock checks that the stock and the orders tell the same story: units at a location are reserved if and only if
// an open order holds them, shipped if and only if one has them, and a line waits if and only if it is in the queue.
func (h *house) checkStock() {
	held, shipped, waiting := h.counted()
	for sku, s := range h.stock {
		for _, at := range s.Locations {
			if place := sku + " " + at.Location; at.Reserved != held[place] {
				h.fail("%s: %d reserved, and orders hold %d", place, at.Reserved, held[place])
			}
			delete(held, sku+" "+at.Location)
		}
		if s.Shipped != shipped[sku] {
			h.fail("%s: %d shipped, and orders had %d", sku, s.Shipped, shipped[sku])
		}
		for _, w := range s.Queue {
			line := fmt.Sprint(sku, " ", w.OrderID, " ", w.Quantity)
			if !waiting[line] {
				h.fail("%s waits, and its order does not know", line)
			}
			delete(waiting, line)
		}
	}
	if len(held)+len(waiting) > 0 {
		h.fail("orders hold %v and wait for %v, of which the stock does not know", held, waiting)
	}
}

// counted is what orders hold by SKU and location, have shipped by SKU, and wait for.
func (h *house) counted() (held, shipped map[string]int64, waiting map[string]bool) {
	held, shipped, waiting = map[string]int64{}, map[string]int64{}, map[string]bool{}
	for id, s := range h.tables.orders {
		for _, l := range s.Lines {
			if l.Status == order.LineWaiting {
				waiting[fmt.Sprint(l.SKU, " ", id, " ", l.Quantity)] = true
			}
			if l.Status == order.LineShipped {
				shipped[l.SKU] += l.Allocated()
				continue
			}
			for _, take := range l.Allocations {
				held[l.SKU+" "+take.Location] += take.Quantity
			}
		}
	}
	return held, shipped, waiting
}

// checkReplay folds every partition again, one after the other: no other log is needed for a table.
func (h *house) checkReplay() {
	again := newTables()
	for log := range h.logs {
		for _, p := range h.logs[log] {
			for _, r := range p.records {
				again.apply(log, r)
			}
		}
	}
	if !reflect.DeepEqual(again, h.tables) {
		h.fail("replayed, the tables differ")
	}
}

// checkVariety checks that the run was worth it: everything that can happen has.
func (h *house) checkVariety() {
	for _, what := range []string{
		"order confirmed", "order backordered", "order rejected", "order shipped", "order delivered", "order cancelled",
		"line withdrawn", "line released", "line waiting",
		"reason insufficient", "reason held_by_others", "reason queue_ahead", "reason queue_full", "reason unknown_sku",
		"message inventory.NotWaiting", "message inventory.Withdrawn", "message shipment.NotCancelled", "message shipment.Cancelled",
		"refusal id_conflict", "refusal unknown_order", "refusal already_shipped", "refusal already_rejected",
		"refusal below_zero", "refusal below_reserved", "refusal unknown_shipment", "refusal shipment_cancelled",
		"refusal not_dispatched", "refusal dispatched_otherwise",
	} {
		if h.seen[what] == 0 {
			h.t.Errorf("-seed %d: never seen: %s", h.seed, what)
		}
	}
}
