package engine_test

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// What holds at rest: when nobody does anything any more, nothing fails, and everything under way has come to its end.

// checkRest checks all of it.
func (w *world) checkRest() {
	for _, g := range w.groups {
		w.checkTable(g)
		for p := range w.shape.partitions {
			w.checkLog(g, p)
		}
	}
	for _, m := range w.everyone() {
		for _, o := range m.workers {
			w.checkWorker(o)
		}
	}
	if slices.ContainsFunc(w.shelves, func(s *shelf) bool { return s.halted }) {
		w.count("runs that came to rest at a halt")
		return // whoever waits for what is behind it waits rightly
	}
	w.checkOrders()
	w.checkHeld()
	w.mails.check()
}

// checkLog: each message was taken, became a letter, was moved or is a repeat, its outputs are in their logs, and it is
// committed.
func (w *world) checkLog(g *group, p int32) {
	s := w.shelf(g.spec.log, p)
	verdicts, end := w.oracle.verdicts[w.oracle.number(s)], s.visible
	if s.halted {
		end = int64(slices.IndexFunc(verdicts, func(v *verdict) bool { return v.kind == halt }))
	}
	if c := g.committed[p]; c != end && !onlyMarkers(s.records[c:end]) {
		w.fail("at rest, %s/%d is committed up to offset %d of %d", s.topic, p, c, end)
	}
	for offset, v := range verdicts[:end] {
		if what := w.oracle.open(g, p, v, int64(offset)); what != "" {
			w.fail("at rest, offset %d of %s/%d, %s, %s", offset, s.topic, p, v.kind, what)
		}
		if v.kind == taken && !v.noted {
			w.fail("at rest, no row says that it took offset %d of %s/%d", offset, s.topic, p)
		}
	}
}

func onlyMarkers(rs []stored) bool {
	return !slices.ContainsFunc(rs, func(r stored) bool { return !r.marker })
}

// checkTable: the newest record of every key is the fold of the log, and the last.
func (w *world) checkTable(g *group) {
	want := map[string][]byte{}
	for p := range w.shape.partitions {
		for _, v := range w.oracle.verdicts[w.oracle.number(w.shelf(g.spec.log, p))] {
			if v.kind == taken {
				want[v.key] = v.row
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		s := w.shelf(g.spec.table, w.partitionOf(key))
		st, known := w.oracle.newest[g.number][key]
		if !known || !bytes.Equal(s.records[st.newest].value, want[key]) {
			w.fail("at rest, the row of %q in %s is not the fold of its log", key, s.topic)
		}
		if !bytes.Equal(s.records[st.last].value, want[key]) {
			w.fail("at rest, the last row of %q in %s is not its newest, which is at offset %d", key, s.topic, st.newest)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.oracle.newest[g.number])) {
		if want[key] == nil {
			w.fail("at rest, %s has a row of %q, of which the log knows nothing", g.spec.table, key)
		}
	}
}

// checkWorker: the owner is done, and its disk is the table.
func (w *world) checkWorker(o *owned) {
	if err := o.worker.Flush(); err != nil {
		w.fail("at rest, %s does not flush: %v", o, err)
	}
	if o.worker.Pinned() {
		w.fail("at rest, the store of %s is pinned", o)
	}
	for key, st := range w.oracle.newest[o.m.g.number] {
		if w.partitionOf(key) == o.partition && !bytes.Equal(o.disk.content.rows[key], o.changelog.records[st.newest].value) {
			w.fail("at rest, the disk of %s has another row of %q than its changelog", o, key)
		}
	}
}

// checkOrders: every order that was accepted is decided, and has the shipment that it should have.
func (w *world) checkOrders() {
	parcels := w.oracle.parcels.rows
	for id, row := range w.oracle.orders.rows {
		s := row.State
		if s.Status == order.None {
			continue // it was never placed
		}
		w.count("orders " + s.Status.String())
		if s.Status == order.Pending || s.Cancelling {
			w.fail("at rest, order %s is %s (cancelling: %t)", id, s.Status, s.Cancelling)
		}
		want := shipments[s.Status]
		if !slices.ContainsFunc(s.History, func(c order.Change) bool { return c.Status == order.Confirmed }) {
			want = shipment.None
		}
		if got := parcels[id].State.Status; got != want {
			w.fail("at rest, order %s is %s and its shipment %q", id, s.Status, got)
		}
	}
}

// shipments are where a shipment stands at rest, by where its order stands, if that was ever confirmed.
var shipments = map[order.Status]shipment.Status{
	order.Confirmed: shipment.StatusScheduled,
	order.Shipped:   shipment.StatusDispatched,
	order.Delivered: shipment.StatusDelivered,
	order.Cancelled: shipment.StatusCancelled,
}

// checkHeld: the stock and the orders tell the same of what is reserved, shipped and waited for.
func (w *world) checkHeld() {
	held, shipped, waiting := w.counted()
	for sku, row := range w.oracle.stock.rows {
		for _, at := range row.State.Locations {
			if place := sku + " " + at.Location; at.Reserved != held[place] {
				w.fail("at rest, %s has %d reserved, and orders hold %d", place, at.Reserved, held[place])
			}
			delete(held, sku+" "+at.Location)
		}
		if row.State.Shipped != shipped[sku] {
			w.fail("at rest, %s has %d shipped, and orders had %d", sku, row.State.Shipped, shipped[sku])
		}
		var queue []string
		for _, q := range row.State.Queue {
			queue = append(queue, fmt.Sprint(q.OrderID, " ", q.Quantity))
		}
		slices.Sort(queue)
		slices.Sort(waiting[sku])
		if !reflect.DeepEqual(queue, waiting[sku]) {
			w.fail("at rest, %v wait for %s, and orders say %v", queue, sku, waiting[sku])
		}
	}
	for place, n := range held {
		if n != 0 {
			w.fail("at rest, orders hold %d of %s, of which the stock does not know", n, place)
		}
	}
}

// counted is what orders hold by SKU and location, have shipped by SKU, and wait for by SKU.
func (w *world) counted() (held, shipped map[string]int64, waiting map[string][]string) {
	held, shipped, waiting = map[string]int64{}, map[string]int64{}, map[string][]string{}
	for id, row := range w.oracle.orders.rows {
		for _, l := range row.State.Lines {
			if l.Status == order.LineWaiting {
				waiting[l.SKU] = append(waiting[l.SKU], fmt.Sprint(id, " ", l.Quantity))
			}
			for _, t := range l.Allocations {
				if l.Status == order.LineShipped {
					shipped[l.SKU] += t.Quantity
				} else {
					held[l.SKU+" "+t.Location] += t.Quantity
				}
			}
		}
	}
	return held, shipped, waiting
}

// atRest reports whether nothing can happen any more.
func (w *world) atRest() bool {
	for _, s := range w.shelves {
		if s.visible < int64(len(s.records)) {
			return false
		}
	}
	for _, c := range w.clients() {
		if c.buffered > 0 {
			return false
		}
	}
	for _, g := range w.groups {
		if g.rebalancing || len(g.members) != len(w.processes) {
			return false
		}
	}
	for _, m := range w.everyone() {
		if !m.session || m.leaving || m.stale || m.failed != nil || m.hand.Underway > 0 || len(m.foreign) > 0 || !w.allDone(m) {
			return false
		}
	}
	return len(w.ghosts) == 0 && w.mails.idle()
}

func (w *world) allDone(m *member) bool {
	for _, o := range m.workers {
		if !o.working || len(o.taken) > 0 || o.stuck != nil || o.next < o.log.visible && !o.worker.Halted() || !o.worker.Quiet() || o.looked < o.changelog.visible {
			return false
		}
		if m.marked[o.partition] > m.g.committed[o.partition] {
			return false
		}
	}
	return true
}

// everyone is every member there is.
func (w *world) everyone() (all []*member) {
	for _, p := range w.processes {
		for _, m := range p.members {
			if m != nil {
				all = append(all, m)
			}
		}
	}
	return all
}
