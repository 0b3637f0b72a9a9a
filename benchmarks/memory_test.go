package benchmarks

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/processors/order"
)

var (
	orders = flag.Int("orders", 0, "how many orders BenchmarkMemory places; 0 leaves it out")
	every  = flag.Int("every", 100_000, "after how many of them it takes a sample")
)

// lines of an order here: as few as keep a million orders within the hour.
const memoryLines = 2

// BenchmarkMemory places very many orders straight into the log and prints what everything takes after each so many:
// the whole of Stockflow but the broker in one process, the broker in another, as its index of the log grows with the
// log and nothing else may.
func BenchmarkMemory(b *testing.B) {
	if *orders == 0 {
		b.Skip("it takes long: say how many -orders")
	}
	for b.Loop() {
		measureMemory(b)
	}
}

func measureMemory(b *testing.B) {
	logs, rows := b.TempDir(), b.TempDir()
	kafka := start(b, "broker", logs)
	server := start(b, "server", rows, kafka.address)
	w := newWatcher(b, broker.Connection{Brokers: []string{kafka.address}})
	receive(b, w, shopSKUs)
	began, first := time.Now(), sample{}
	fmt.Printf("%10s %8s | %10s %10s | %10s %10s | %12s %12s\n", "orders", "orders/s",
		"live MiB", "resident", "broker", "resident", "log B/order", "rows B/order")
	for placed := 0; ; placed += *every {
		s, k := server.sample(), kafka.sample()
		fmt.Printf("%10d %8.0f | %10.1f %10.1f | %10.1f %10.1f | %12.0f %12.0f\n", placed,
			float64(placed)/time.Since(began).Seconds(), mib(s.Live), mib(s.Resident), mib(k.Live), mib(k.Resident),
			float64(onDisk(logs))/float64(max(placed, 1)), float64(onDisk(rows))/float64(max(placed, 1)))
		if placed == *every {
			first = s
		}
		if placed >= *orders {
			b.ReportMetric(mib(s.Live), "live-MiB")
			b.ReportMetric(mib(s.Live-first.Live), "live-MiB-grown")
			b.ReportMetric(mib(k.Live), "broker-live-MiB")
			return
		}
		placeMany(b, w.conn, placed, placed+*every)
		w.awaitSettled(b, placed+*every, memoryLines)
		url := "http://" + server.address
		w.awaitViews(b, url, "/v1/orders/", processors.OrderTable, appliedOf(codecs.DecodeOrderRow))
		w.awaitViews(b, url, "/v1/inventory/", processors.InventoryTable, appliedOf(codecs.DecodeInventoryRow))
		w.awaitViews(b, url, "/v1/shipments/", processors.ShipmentTable, appliedOf(codecs.DecodeShipmentRow))
	}
}

// placeMany writes placements of orders from..to-1 into the log.
func placeMany(b *testing.B, conn broker.Connection, from, to int) {
	b.Helper()
	p := newProducer(b, conn)
	for i := from; i < to; i++ {
		placed := order.Placed{Customer: order.Customer{ID: fmt.Sprintf("c-%05d", i%50_000), Email: "someone@example.org"}}
		first := rand.IntN(shopSKUs)
		for line := range memoryLines {
			placed.Lines = append(placed.Lines, order.PlacedLine{SKU: sku((first + line) % shopSKUs), Quantity: 1})
		}
		_, value := codecs.EncodeOrderEvent(placed)
		p.send(toShop(processors.OrderEvents, fmt.Sprintf("order-%08d", i), value))
	}
	p.close()
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
