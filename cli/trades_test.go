package cli

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/processors/order"
)

// trades is a directory in which a server has done a bit of everything, for tests to copy.
var trades struct {
	once sync.Once
	dir  string
}

// traded makes of dir one in which a server has done a bit of everything, and was stopped.
func traded(t *testing.T, dir string) {
	t.Helper()
	trades.once.Do(func() {
		first, err := os.MkdirTemp("", "stockflow-trades-") //nolint:usetesting // it outlives the test that makes it
		if err != nil {
			t.Fatal(err)
		}
		trade(t, first)
		trades.dir = first
	})
	if trades.dir == "" {
		t.Fatal("there is nothing to copy: another test has failed to make it")
	}
	if err := os.CopyFS(dir, os.DirFS(trades.dir)); err != nil {
		t.Fatal(err)
	}
}

// trade lets a server do a bit of everything in dir, and stops it.
func trade(t *testing.T, dir string) {
	t.Helper()
	m := newMill(t, dir)
	for i := range 10 {
		m.client.want("POST", fmt.Sprintf("/v1/inventory/sku-%d/receipts", i), `{"quantity":5}`, 200)
	}
	for i := range 40 {
		policy := []string{"all_or_nothing", "partial", "backorder"}[i%3]
		m.client.want("POST", "/v1/orders", fmt.Sprintf(`{"order_id":"o-%d","policy":%q,"customer":{"id":"ada","email":"ada@example.org"},`+
			`"lines":[{"sku":"sku-%d","quantity":2},{"sku":"sku-%d","quantity":1}]}`, i, policy, i%10, (i*7+1)%11), 201)
	}
	for i := range 5 {
		if a, err := m.client.insist("POST", fmt.Sprintf("/v1/shipments/o-%d/dispatch", i), dhl); err != nil || a.status >= 500 {
			t.Errorf("a dispatch is answered with %d %s, %v", a.status, a.text, err)
		}
	}
	m.client.send("POST", "/v1/orders/o-3/cancel", "")
	m.client.send("POST", "/v1/inventory/sku-2/adjustments", `{"quantity":-1,"reason":"loss"}`)
	m.write(
		&kgo.Record{Topic: processors.OrderEvents, Key: []byte("bad"), Value: []byte("not an order")},
		&kgo.Record{Topic: processors.OrderEvents, Key: []byte("bad"), Value: nil},
		&kgo.Record{Topic: processors.OrderEvents, Value: []byte(`{"placed":{"order_id":"no-key","lines":[{"sku":"sku-1","quantity":1}]}}`)},
		&kgo.Record{Topic: processors.OrderEvents, Key: []byte("early"), Value: []byte(`{"placed":{"lines":[{"sku":"sku-1","quantity":1}]}}`),
			Headers: []kgo.RecordHeader{{Key: codecs.HeaderOrigin, Value: codecs.EncodeOrigin(codecs.Origin{Log: processors.OrderEvents, Offset: 60})}}},
	)
	m.awaitLetters(3)
	until(m, m.server.tables.Orders, "no-key", func(s order.State) bool { return s.Status > order.Pending })
	told(t, 0, []string{allEqual, "over HTTP"}, "verify", "--data="+dir)
	halt(t, m.server)
	told(t, 0, []string{allEqual, "41 orders", "11 SKUs"}, "verify", "--data="+dir)
}
