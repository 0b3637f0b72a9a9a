package cli

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/order"
	"stockflow/processors"
)

// onPartition returns a key of a partition, of eight.
func onPartition(partition int32, prefix string) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint(prefix, i); broker.Partition([]byte(key), 8) == partition {
			return key
		}
	}
}

// TestRulesOfTomorrowStopTheirPartition alone, on every log, by name, also after a restart; and a program that knows
// them goes on where the others stopped.
func TestRulesOfTomorrowStopTheirPartition(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := newMill(t, dir)
	const stopped, running = 3, 5
	heldSKU, heldOrder, after := onPartition(stopped, "sku-"), onPartition(stopped, "o-"), onPartition(stopped, "later-")
	freeSKU, freeOrder := onPartition(running, "sku-"), onPartition(running, "o-")
	put := func(log, key, value string) { m.write(&kgo.Record{Topic: log, Key: []byte(key), Value: []byte(value)}) }
	put(processors.InventoryEvents, heldSKU, `{"receive":{"quantity":1}}`)
	put(processors.InventoryEvents, heldSKU, `{"rules":2,"receive":{"quantity":10}}`)
	put(processors.InventoryEvents, after, `{"receive":{"quantity":100}}`)
	put(processors.OrderEvents, heldOrder, `{"rules":2,"placed":{"lines":[{"sku":"`+heldSKU+`","quantity":11}]}}`)
	put(processors.ShipmentEvents, heldOrder, `{"rules":2,"dispatch":{"carrier":"DHL","tracking_number":"X1"}}`)
	put(processors.NotificationEvents, heldOrder, `{"rules":2,"resend":{"kind":"confirmed"}}`)

	for range 2 {
		m.awaitStopped(
			"order-events/3 has stopped at offset 0: written under rules number 2, and this program knows them up to 1",
			"inventory-events/3 has stopped at offset 1: written under rules number 2",
			"shipment-events/3 has stopped at offset 0: written under rules number 2",
			"notification-events/3 has stopped at offset ")
		m.client.want("POST", "/v1/inventory/"+freeSKU+"/receipts", `{"quantity":5}`, 200)
		m.client.want("POST", "/v1/orders", `{"order_id":"`+freeOrder+`","lines":[{"sku":"`+freeSKU+`","quantity":2}]}`, 201, `"confirmed"`)
		m.client.until("/v1/inventory/"+heldSKU, `"on_hand":1,`)
		m.client.want("GET", "/v1/inventory/"+after, "", 404)
		halt(t, m.server)
		server, client := begin(t, place{dir: dir}.serve())
		m = &mill{t, server, client}
	}
	m.client.until("/v1/orders/"+freeOrder, `"confirmed"`)
	if letters := m.letters(); len(letters) > 0 {
		t.Errorf("what was not understood became the letters %+v", letters)
	}
	halt(t, m.server)
	tomorrow(t, dir, heldSKU, heldOrder, after)
}

// awaitStopped returns when the server says that it waits for what begins like this.
func (m *mill) awaitStopped(lines ...string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), generous)
	defer cancel()
	for ctx.Err() == nil {
		a := m.client.send("GET", "/readyz", "")
		said := 0
		for _, line := range lines {
			if strings.Contains(a.text, line) {
				said++
			}
		}
		if said == len(lines) {
			return
		}
	}
	m.t.Fatalf("it never said %q, but %s", lines, m.client.send("GET", "/readyz", "").text)
}

// tomorrow runs machines that know the next number of rules, which say what the first did, on what is in dir.
func tomorrow(t *testing.T, dir, heldSKU, heldOrder, after string) {
	t.Helper()
	opened(t, dir, func(b broker.Local) { tomorrowOn(t, b, dir, heldSKU, heldOrder, after) })
}

func tomorrowOn(t *testing.T, b broker.Local, dir, heldSKU, heldOrder, after string) {
	t.Helper()
	c := engine.Config{
		Conn: b.Inside(), Dir: filepath.Join(dir, "processors"), Partitions: 8,
		Log: slog.New(slog.DiscardHandler), Metrics: engine.NewMetrics(prometheus.NewRegistry()),
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, g := range []*engine.Group{
		engine.NewGroup(newer(processors.Order(nil)), c), engine.NewGroup(newer(processors.Inventory(nil)), c),
		engine.NewGroup(newer(processors.Shipment(nil)), c), engine.NewGroup(newer(processors.Notification(nil)), c),
	} {
		running.Go(func() {
			if err := g.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	awaitChange(t, b, processors.InventoryTable, after, func(row []byte) bool {
		_, s, err := codecs.DecodeInventoryRow(row)
		return err == nil && s.OnHand() == 100
	})
	awaitChange(t, b, processors.OrderTable, heldOrder, func(row []byte) bool {
		_, s, err := codecs.DecodeOrderRow(row)
		return err == nil && s.Status == order.Confirmed
	})
	awaitChange(t, b, processors.InventoryTable, heldSKU, func(row []byte) bool {
		_, s, err := codecs.DecodeInventoryRow(row)
		return err == nil && s.OnHand() == 11 && s.Reserved() == 11 && s.Received == int64(11)
	})
}

// newer returns a machine that knows one more number of rules.
func newer[S any](m engine.Machine[S]) engine.Machine[S] {
	known := m.Decode
	m.RulesVersion++
	m.Decode = func(value []byte) (codecs.Decoded, error) {
		return known(bytes.Replace(value, []byte(`"rules":2,`), nil, 1))
	}
	return m
}
