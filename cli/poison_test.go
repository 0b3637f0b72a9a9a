package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/views"
)

// mill is a Stockflow into whose logs anybody writes.
type mill struct {
	t      *testing.T
	server *Server
	client *shop
}

func newMill(t *testing.T, dir string) *mill {
	t.Helper()
	return millOf(t, place{dir: dir})
}

func millOf(t *testing.T, p place) *mill {
	t.Helper()
	server, client := start(t, p.serve())
	return &mill{t, server, client}
}

// write puts records on their logs, in this order in each partition, and returns when the logs have them.
func (m *mill) write(records ...*kgo.Record) {
	m.t.Helper()
	put(m.t, m.server.Broker(), records...)
}

// awaitLetters returns when the dead letters have so many records.
func (m *mill) awaitLetters(n int64) {
	m.t.Helper()
	untilLogged(m.t, m.server.Broker(), engine.DeadLetters, n)
}

// until returns when the row of a key is as wanted.
func until[S any](m *mill, table *views.Table[S], key string, wanted func(S) bool) {
	m.t.Helper()
	watch, err := table.Watch(key)
	if err != nil {
		m.t.Fatal(err)
	}
	defer watch.Close()
	row, err := table.Get(key)
	if err != nil {
		m.t.Fatal(err)
	}
	if wanted(row.State) {
		return
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), 4*generous)
	defer cancel()
	if row, err = watch.Until(ctx, func(r views.Row[S]) bool { return wanted(r.State) }); err != nil {
		m.t.Fatalf("the row of %s is %+v: %v", key, row.State, err)
	}
}

// letters returns all dead letters as they are listed, with their values, in the order of their list.
func (m *mill) letters() (all []views.DeadLetter) {
	m.t.Helper()
	everyone := func(views.DeadLetterID, int) bool { return true }
	err := views.NewDeadLetters(m.server.Broker(), nil).Walk(m.t.Context(), everyone, func(l views.DeadLetter) error {
		all = append(all, l)
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

// compare expects exactly one letter for each record, the same to the byte.
func (m *mill) compare(poisons []poison, letters []views.DeadLetter) {
	m.t.Helper()
	byPlace := map[views.DeadLetterID]views.DeadLetter{}
	for _, l := range letters {
		byPlace[l.ID()] = l
	}
	if len(letters) != len(poisons) || len(byPlace) != len(letters) {
		m.t.Errorf("%d letters of %d messages are listed, expected %d", len(letters), len(byPlace), len(poisons))
	}
	for _, p := range poisons {
		id := views.DeadLetterID{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset}
		l, listed := byPlace[id]
		if !listed {
			m.t.Fatalf("%s is no letter: %s", p.what, id)
		}
		same := bytes.Equal(l.Key, p.Key) && bytes.Equal(l.Value, p.Value) && l.NoValue == (p.Value == nil) && len(l.Headers) == len(p.Headers)
		for _, h := range p.Headers {
			same = same && slices.ContainsFunc(l.Headers, func(x codecs.Header) bool { return x.Key == h.Key && bytes.Equal(x.Value, h.Value) })
		}
		if !same || !strings.Contains(l.Reason, p.says) || len(l.Reason) > 2000 {
			m.t.Errorf("%s of %s: key %.60q, value %.60q, headers %.60q; the reason is %q, expected %q in it",
				p.what, p.Topic, l.Key, l.Value, l.Headers, l.Reason, p.says)
		}
	}
}

const (
	poisonSKUs   = 100
	initialStock = 1_000_000
)

func poisonSKU(i int) string { return fmt.Sprint("sku-", i%poisonSKUs) }

func receipt(sku string, quantity int64) *kgo.Record {
	_, value := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: quantity})
	return &kgo.Record{Topic: processors.InventoryEvents, Key: []byte(sku), Value: value}
}

func placement(id string, sku string, email string) *kgo.Record {
	_, value := codecs.EncodeOrderEvent(order.Placed{
		Customer: order.Customer{ID: "ada", Email: email}, Lines: []order.PlacedLine{{SKU: sku, Quantity: 1}},
	})
	return &kgo.Record{Topic: processors.OrderEvents, Key: []byte(id), Value: value}
}

// plenty is what a test of poison has done besides.
type plenty struct {
	*mill
	received, reserved map[string]int64
	orders             []string
}

func (p *plenty) receipt(sku string, quantity int64) *kgo.Record {
	p.received[sku] += quantity
	return receipt(sku, quantity)
}

func (p *plenty) placement(id, sku, email string) *kgo.Record {
	p.reserved[sku]++
	p.orders = append(p.orders, id)
	return placement(id, sku, email)
}

// done returns when all of it is in the tables, and nothing more, and expects no partition to have stopped.
func (p *plenty) done() {
	p.t.Helper()
	for sku, received := range p.received {
		until(p.mill, p.server.tables.Inventory, sku, func(s inventory.State) bool {
			return s.Received == received && s.Reserved() == p.reserved[sku]
		})
	}
	for _, id := range p.orders {
		until(p.mill, p.server.tables.Orders, id, func(s order.State) bool { return s.Status == order.Confirmed })
	}
	if waits := p.server.Waiting(); len(waits) > 0 {
		p.t.Errorf("it waits for %q", waits)
	}
}

// TestPoisonStopsNothing: a thousand messages that no machine can take, among a hundred thousand good ones. Each bad
// one becomes a letter, is listed once and kept to the byte; the good ones are all done; and no partition stops. Then
// everything is delivered again, as after a crash: there are twice as many letters in their log, and nothing else changes.
func TestPoisonStopsNothing(t *testing.T) {
	t.Parallel()
	const rounds, receipts, orders = 1000 / slowed, 98, 2
	dir := t.TempDir()
	p := &plenty{newMill(t, dir), map[string]int64{}, map[string]int64{}, nil}
	var records []*kgo.Record
	for i := range poisonSKUs {
		records = append(records, p.receipt(poisonSKU(i), initialStock))
	}
	p.write(records...)
	poisons := manyPoisons(rounds)
	for i, bad := range poisons {
		if i%50 == 0 {
			records = nil
		}
		for j := range receipts {
			records = append(records, p.receipt(poisonSKU(i*receipts+j), int64(j%3+1)))
		}
		for j := range orders {
			records = append(records, p.placement(fmt.Sprintf("o-%d-%d", i, j), poisonSKU(i+j*7), []string{"", "ada@example.org"}[i%100/99]))
		}
		if records = append(records, bad.Record); i%50 == 49 {
			p.write(records...)
		}
	}
	p.awaitLetters(rounds)
	p.done()
	p.compare(poisons, p.letters())

	halt(t, p.server)
	rewind(t, dir)
	p.mill = newMill(t, dir)
	p.awaitLetters(2 * rounds)
	records = nil
	for i := range poisonSKUs { // behind all that was delivered again
		records = append(records, p.receipt(poisonSKU(i), 1), p.placement(fmt.Sprint("end-", i), poisonSKU(i), ""))
	}
	p.write(records...)
	p.done()
	p.compare(poisons, p.letters())
	p.wantPages(rounds)
}

// wantPages expects the API to list so many letters, each once.
func (m *mill) wantPages(n int) {
	m.t.Helper()
	seen := map[string]bool{}
	for cursor := ""; ; {
		var page struct {
			Items []struct{ ID, At, Reason string }
			Next  string
		}
		a := m.client.send("GET", "/v1/dead-letters?limit=200"+cursor, "")
		if err := json.Unmarshal([]byte(a.text), &page); err != nil || a.status != 200 {
			m.t.Fatalf("the answer is %d %.200s: %v", a.status, a.text, err)
		}
		for _, item := range page.Items {
			if seen[item.ID] || item.At == "" || item.Reason == "" {
				m.t.Errorf("an item is %+v, and was listed before: %v", item, seen[item.ID])
			}
			seen[item.ID] = true
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	if len(seen) != n {
		m.t.Errorf("%d letters are listed, expected %d", len(seen), n)
	}
}

// rewind makes all groups begin at the first message again, with the rows that they have.
func rewind(t *testing.T, dir string) {
	t.Helper()
	opened(t, dir, func(b broker.Local) {
		for _, log := range processors.Logs {
			starts, err := b.Starts(t.Context(), log)
			must(t, err)
			must(t, b.Commit(t.Context(), strings.TrimSuffix(log, "-events"), starts))
		}
	})
}
