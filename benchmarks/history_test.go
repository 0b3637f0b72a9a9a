package benchmarks

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"stockflow/cli"
	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/processors"
)

// logOrders is how many orders are put on the log at once.
const logOrders = 2_000

// BenchmarkHistory is what it takes from live processing to keep a history: orders are put on the log, by turns in a shop
// with a history and in one without, until they are confirmed and their shipments scheduled.
func BenchmarkHistory(b *testing.B) {
	shops := []*shop{openShop(b, shopSKUs), openShopAs(b, shopSKUs, cli.Serve{NoHistory: true})}
	var took [2]time.Duration
	history := filepath.Join(shops[0].dir, "history")
	before, orders := onDisk(history), 0
	for b.Loop() {
		for i, s := range shops {
			began := time.Now()
			s.logBatch(orders)
			s.awaitSettled(s, orders+logOrders, batchLines)
			took[i] += time.Since(began)
		}
		orders += logOrders
	}
	b.ReportMetric(float64(orders)/took[0].Seconds(), "settled/s")
	b.ReportMetric(float64(orders)/took[1].Seconds(), "settled/s-without")
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "ratio")
	b.ReportMetric(float64(onDisk(history)-before)/float64(orders), "disk-B/order")
}

// logBatch puts orders on the log.
func (s *shop) logBatch(first int) {
	p := newProducer(s, s.broker)
	for i := range logOrders {
		var placed order.Placed
		for l := range batchLines {
			placed.Lines = append(placed.Lines, order.PlacedLine{SKU: sku((i*7 + l) % s.skus), Quantity: 1})
		}
		_, value := codecs.EncodeOrderEvent(placed)
		p.send(toShop(processors.OrderEvents, fmt.Sprintf("o-%08d", first+i), value))
	}
	p.close()
}

// hotMessages is how many messages the one SKU has that is looked back on.
const hotMessages = 100_000

// BenchmarkLookBack asks for a SKU of very many messages as it was at any time, over HTTP.
func BenchmarkLookBack(b *testing.B) {
	s := openShop(b, 1)
	p := newProducer(b, s.broker)
	_, value := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: 1})
	began := time.Now().UnixMilli()
	for range hotMessages {
		p.send(toShop(processors.InventoryEvents, "hot", value))
	}
	p.close()
	s.until(b, s.stockTaken)
	ended := time.Now().UnixMilli()
	s.await(fmt.Sprintf("/v1/inventory/hot?at=%d", ended)) // waits for the history
	var took []time.Duration
	for b.Loop() {
		from := time.Now()
		s.await(fmt.Sprintf("/v1/inventory/hot?at=%d", began+200+rand.Int64N(ended-began-200)))
		took = append(took, time.Since(from))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}
