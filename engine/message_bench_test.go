package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/processors"
)

// BenchmarkOrderThroughCallbacks is an order of two lines on its way through the machines: seven messages, each with its
// outputs and its row. What it measures is the engine's own, from goka's callback to the broker's client: the logs are
// in memory and acknowledge at once, as a journal does.
func BenchmarkOrderThroughCallbacks(b *testing.B) {
	p := newPlant(b)
	for i := range plantSKUs {
		p.write(processors.InventoryEvents, skuOf(i), inventory.Receive{Quantity: 1_000_000_000})
	}
	p.run()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		p.write(processors.OrderEvents, fmt.Sprintf("order-%d", n), order.Placed{
			Customer: order.Customer{ID: "17850"}, Policy: order.AllOrNothing,
			Lines: []order.PlacedLine{{SKU: skuOf(2 * n), Quantity: 1}, {SKU: skuOf(2*n + 1), Quantity: 1}},
		})
		p.run()
	}
	b.StopTimer()
	if want := plantSKUs + 7*n; p.messages != want {
		b.Errorf("%d orders took %d messages, not %d", n, p.messages, want)
	}
}

const (
	plantPartitions = 4
	plantSKUs       = 100
)

func skuOf(i int) string { return fmt.Sprintf("sku-%d", i%plantSKUs) }

// plant is all machines by hand, in one goroutine, with logs that acknowledge at once.
type plant struct {
	b        *testing.B
	hands    map[string]*engine.Hand // by the log that they read
	ends     map[broker.TopicPartition]int64
	arrived  []*kgo.Record // messages that no machine has taken yet
	messages int           // that were taken
}

func newPlant(b *testing.B) *plant {
	p := &plant{b: b, hands: map[string]*engine.Hand{}, ends: map[broker.TopicPartition]int64{}}
	metrics := engine.NewMetrics(prometheus.NewRegistry())
	add(p, processors.Order(nil), metrics)
	add(p, processors.Inventory(nil), metrics)
	add(p, processors.Shipment(nil), metrics)
	return p
}

func add[S any](p *plant, m engine.Machine[S], metrics *engine.Metrics) {
	h := engine.NewHand(m, engine.HandConfig{
		Partitions: plantPartitions, Client: p, Letters: p, Metrics: metrics, Direct: true,
		Ends:   func(topic string, n int32) int64 { return p.ends[broker.TopicPartition{Topic: topic, Partition: n}] },
		Failed: func(err error) { p.b.Fatal(err) },
	})
	h.Begin(func(int32, int64) {})
	for n := range int32(plantPartitions) {
		disk, err := leveldb.Open(storage.NewMemStorage(), nil)
		if err != nil {
			p.b.Fatal(err)
		}
		l, err := h.Open(n, disk)
		if err == nil {
			err = l.Own()
		}
		if err != nil {
			p.b.Fatal(err)
		}
	}
	p.hands[m.Log] = h
}

// write appends a message from outside.
func (p *plant) write(log, key string, event any) {
	var value []byte
	if log == processors.InventoryEvents {
		_, value = codecs.EncodeInventoryEvent(event)
	} else {
		_, value = codecs.EncodeOrderEvent(event)
	}
	p.Produce(context.Background(), &kgo.Record{
		Topic: log, Partition: broker.Partition([]byte(key), plantPartitions), Key: []byte(key), Value: value,
	}, func(*kgo.Record, error) {})
}

// Produce is the client of all machines.
func (p *plant) Produce(_ context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	at := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	r.Offset = p.ends[at]
	p.ends[at]++
	if p.hands[r.Topic] != nil {
		p.arrived = append(p.arrived, r)
	}
	promise(r, nil)
}

// Close implements the client.
func (p *plant) Close() {}

// run delivers what has arrived, and what comes of it, until nothing does.
func (p *plant) run() {
	for i := 0; i < len(p.arrived); i++ {
		r := p.arrived[i]
		headers := map[string][]byte{}
		for _, h := range r.Headers {
			headers[h.Key] = h.Value
		}
		p.hands[r.Topic].Deliver(engine.Record{
			Partition: r.Partition, Offset: r.Offset, At: time.Now().UnixMilli(), Key: string(r.Key), Value: r.Value,
		}, headers)
		p.messages++
	}
	p.arrived = p.arrived[:0]
}
