package cli

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// shift is what 16 clients at a time get done of the month. They are told different things in every run; what must
// hold in each is conservation, and that what they were told stays true.
type shift struct {
	client *shop
	acks   atomic.Int64
	onAck  func(acknowledged int64)

	mu       sync.Mutex             // guards what follows
	outcomes map[string]row         // of the orders that were acknowledged, as the client was told
	adjusted map[string]invoiceLine // the adjustments that were taken, by Idempotency-Key
	undone   []*invoice             // those not answered in full, to be sent again as they are
}

// TestAMonthWithAKillInTheMiddle plays the month with 16 orders at a time in a process of its own, kills that with
// SIGKILL after some hundred orders, and lets another go on with the same directory. Clients repeat what was not
// acknowledged.
func TestAMonthWithAKillInTheMiddle(t *testing.T) {
	t.Parallel() // with the other month: one waits for the disk, the other for answers
	invoices := someOf(readMonth(t))
	dir := t.TempDir()
	first, client := spawnServer(t, dir)
	receiveAll(client, received(invoices))
	killAfter := int64(len(invoices) / 3) // orders that are acknowledged; not every invoice is one
	s := &shift{client: client, outcomes: map[string]row{}, adjusted: map[string]invoiceLine{}}
	s.onAck = func(n int64) {
		if n == killAfter {
			first.Kill()
		}
	}
	s.work(invoices)
	if n := len(s.undone); n == 0 || n == len(invoices) {
		t.Fatalf("the kill left %d of %d invoices undone", n, len(invoices))
	}
	told := len(s.outcomes)

	server, client := open(t, dir, "all")
	s.client, s.onAck = client, func(int64) {}
	again := s.undone
	s.undone = nil
	s.work(again)
	newQuiet(t, server).wait(t)
	t.Logf("%d orders were acknowledged before the kill, %d after it", told, len(s.outcomes)-told)
	orders := 0
	for _, v := range invoices {
		if v.kind == anOrder {
			orders++
		}
	}
	if len(s.outcomes) != orders || len(s.undone) != 0 {
		t.Errorf("%d of %d orders were acknowledged in the end and %d invoices left undone", len(s.outcomes), orders, len(s.undone))
	}
	s.check(received(invoices))
}

// work plays invoices with 16 clients.
func (s *shift) work(invoices []*invoice) {
	sideBySide(at16, len(invoices), func(i int) {
		if err := s.play(invoices[i]); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.undone = append(s.undone, invoices[i])
		}
	})
}

// play sends an invoice. Its error says that some of it was not answered.
func (s *shift) play(v *invoice) error {
	if v.kind == anOrder {
		return s.order(v)
	}
	for i := range v.lines {
		if err := s.adjust(v, i); err != nil {
			return err
		}
	}
	return nil
}

func (s *shift) order(v *invoice) error {
	a, err := s.client.insist("POST", "/v1/orders", v.request(), "Prefer: wait=10")
	if err != nil {
		return err
	}
	if a.status != http.StatusCreated {
		s.client.t.Errorf("order %s is answered with %d %s", v.id, a.status, a.text)
	}
	placed := s.client.row(a)
	s.mu.Lock()
	s.outcomes[v.id] = placed
	s.mu.Unlock()
	s.onAck(s.acks.Add(1))
	if !v.leaves || placed.Status != "confirmed" {
		return nil
	}
	a, err = s.client.insist("POST", "/v1/shipments/"+v.id+"/dispatch", v.parcel())
	if err == nil && a.status != http.StatusOK {
		s.client.t.Errorf("the dispatch of %s is answered with %d %s", v.id, a.status, a.text)
	}
	return err
}

// adjust sends one line of a return or correction.
func (s *shift) adjust(v *invoice, i int) error {
	method, path, body, key := v.adjustment(i)
	a, err := s.client.insist(method, path, body, key)
	if err != nil || adjusted(s.client.t, a) != "taken" {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adjusted[key] = invoiceLine{v.lines[i].SKU, v.units(i)}
	return nil
}

// check expects that what clients were told is still true, and that everything adds up: what came in, less what left
// with a shipment, is on hand, and what open orders were given is reserved.
func (s *shift) check(received map[string]int64) {
	onHand, reserved, known := maps.Clone(received), map[string]int64{}, map[string]bool{}
	for _, a := range s.adjusted {
		onHand[a.SKU] += a.Quantity
	}
	for sku := range onHand {
		known[sku] = true
	}
	for id, told := range s.outcomes {
		now := s.client.look("/v1/orders/" + id)
		if !mayFollow(told.Status, now.Status) {
			s.client.t.Errorf("order %s is %q, and its client was told that it is %q", id, now.Status, told.Status)
		}
		for _, l := range now.Lines {
			held, left := l.Allocated, int64(0)
			if now.Status == "shipped" {
				held, left = left, held
			}
			onHand[l.SKU] -= left
			reserved[l.SKU] += held
		}
	}
	for sku := range onHand {
		compareStock(s.client, &pile{sku: sku, known: known[sku], onHand: onHand[sku], reserved: reserved[sku]})
		if reserved[sku] > onHand[sku] || reserved[sku] < 0 {
			s.client.t.Errorf("of %s %d units are sold, and %d are there", sku, reserved[sku], onHand[sku])
		}
	}
}

// mayFollow reports whether an order of which a client was told one status may have the other in the end. Nothing
// may be pending then.
func mayFollow(told, now string) bool {
	next := map[string]string{
		"confirmed":   "confirmed shipped",
		"backordered": "backordered confirmed",
		"rejected":    "rejected",
		"shipped":     "shipped", // its client had not heard of the confirmation, and asked again
	}
	return slices.Contains(strings.Fields(next[told]), now)
}
