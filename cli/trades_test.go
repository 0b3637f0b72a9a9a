package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/stockflowtest/fake"
)

// trades are places in which a server has done a bit of everything, for tests to copy: one with a journal, and one with a Kafka.
var trades [2]struct {
	once sync.Once
	dir  string
}

const (
	tradesOnJournal = iota
	tradesOnKafka
)

// traded makes of dir one in which a server has done a bit of everything, and was stopped.
func traded(t *testing.T, dir string) {
	t.Helper()
	copyTrades(t, tradesOnJournal, dir, func(first string) place { return place{dir: first} })
}

// tradedOnKafka is such a place whose logs and tables are on Kafka.
func tradedOnKafka(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	copyTrades(t, tradesOnKafka, dir, func(first string) place { return kafkaIn(t, first) })
	return kafkaIn(t, dir)
}

// kafkaIn is a place whose Kafka keeps what it has in the same directory.
func kafkaIn(t *testing.T, dir string) place {
	t.Helper()
	return place{dir, fake.Open(t, kfake.DataDir(filepath.Join(dir, "kafka")))}
}

func copyTrades(t *testing.T, kind int, dir string, in func(first string) place) {
	t.Helper()
	made := &trades[kind]
	made.once.Do(func() {
		first, err := os.MkdirTemp("", "stockflow-trades-") //nolint:usetesting // it outlives the test that makes it
		must(t, err)
		p := in(first)
		trade(t, p)
		if p.kafka != nil {
			p.kafka.Close()
		}
		made.dir = first
	})
	if made.dir == "" {
		t.Fatal("there is nothing to copy: another test has failed to make it")
	}
	must(t, os.CopyFS(dir, os.DirFS(made.dir)))
}

// removeTrades is for the end of all tests.
func removeTrades() {
	for i := range trades {
		_ = os.RemoveAll(trades[i].dir)
	}
}

// trade lets a server do a bit of everything in a place, and stops it.
func trade(t *testing.T, p place) {
	t.Helper()
	m := millOf(t, p)
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
	told(t, 0, []string{allEqual, "over HTTP"}, p.verify("--url=http://"+m.server.HTTPAddr())...)
	halt(t, m.server)
	told(t, 0, []string{allEqual, "41 orders", "11 SKUs"}, p.verify()...)
}
