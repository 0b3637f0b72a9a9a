package benchmarks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockflow/codecs"
	"stockflow/processors"
)

// A batch of orders over HTTP: as many SKUs as a shop sells in a month, and lines as an order has in a small one.
const (
	shopSKUs    = 4_000
	batchOrders = 4_000
	batchLines  = 3
)

// BenchmarkOrders is orders from many clients at a time, who don't wait for the outcome, until all of them are
// confirmed and their shipments scheduled.
func BenchmarkOrders(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := openShop(b, shopSKUs)
			var placing, settling time.Duration
			before, orders := s.stored(), 0
			for b.Loop() {
				began := time.Now()
				s.placeBatch(clients)
				placing += time.Since(began)
				orders += batchOrders
				s.awaitSettled(s, orders, batchLines)
				settling += time.Since(began)
			}
			b.ReportMetric(float64(orders)/placing.Seconds(), "placed/s")
			b.ReportMetric(float64(orders)/settling.Seconds(), "settled/s")
			b.ReportMetric(float64(s.stored()-before)/float64(orders), "disk-B/order")
		})
	}
}

// placeBatch places a batch of orders, shared out among clients.
func (s *shop) placeBatch(clients int) {
	var left atomic.Int64
	left.Store(batchOrders)
	var working sync.WaitGroup
	for range clients {
		working.Go(func() {
			for left.Add(-1) >= 0 {
				s.place("", rand.IntN(s.skus), batchLines, 202)
			}
		})
	}
	working.Wait()
}

// awaitSettled waits until so many orders, of so many lines each, and all that followed from them have come to rest.
func (w *watcher) awaitSettled(t testing.TB, orders, lines int) {
	t.Helper()
	w.until(t, func(ctx context.Context) (bool, error) {
		// An order is placed, each of its lines is answered, and its shipment is scheduled.
		n, err := w.length(ctx, processors.OrderEvents)
		if err != nil || n < int64(orders*(lines+2)) {
			return false, err
		}
		ok, err := w.takenIn(ctx, processors.OrderEvents, processors.OrderTable, appliedOf(codecs.DecodeOrderRow))
		if !ok || err != nil {
			return false, err
		}
		ok, err = w.stockTaken(ctx)
		if !ok || err != nil {
			return false, err
		}
		return w.takenIn(ctx, processors.ShipmentEvents, processors.ShipmentTable, appliedOf(codecs.DecodeShipmentRow))
	})
}

func (w *watcher) stockTaken(ctx context.Context) (bool, error) {
	return w.takenIn(ctx, processors.InventoryEvents, processors.InventoryTable, appliedOf(codecs.DecodeInventoryRow))
}
