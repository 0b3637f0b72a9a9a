package history

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/processors"
)

// BenchmarkTake writes down what orders of two lines leave in the logs, some records at a time. One operation is an order
// with all that it causes: seven messages.
func BenchmarkTake(b *testing.B) {
	const orders = 4000
	w := newWorld(b, 1, 4)
	w.sell(orders, 100)
	for _, at := range []int{4, 16, 64} {
		b.Run(fmt.Sprintf("records=%d", at), func(b *testing.B) {
			b.ReportAllocs()
			for done := 0; done < b.N; done += orders {
				b.StopTimer()
				all := w.openAll(b.TempDir())
				b.StartTimer()
				w.takeAll(all, at)
				b.StopTimer()
				for _, as := range all {
					for _, a := range as {
						must(b, a.close())
					}
				}
			}
		})
	}
}

// takeAll has annals take so many records of every partition in turn, until they have them all.
func (w *world) takeAll(all map[string][]*partitionHistory, at int) {
	for more := true; more; {
		more = false
		for log, as := range all {
			for p, a := range as {
				var records []*kgo.Record
				if next := int(a.at().Next); next < len(w.logs[log][p]) {
					records = w.logs[log][p][next:min(next+at, len(w.logs[log][p]))]
					more = true
				}
				must(w.t, a.take(records))
			}
		}
	}
}

// sell has so many orders of two lines come and be fulfilled, sixteen at a time.
func (w *world) sell(orders, skus int) {
	for i := range skus {
		_, value := codecs.EncodeInventoryEvent(inventory.Receive{ID: "r-1", Quantity: 1 << 20})
		w.put(processors.InventoryEvents, fmt.Sprint("sku-", i), value, -1)
	}
	for i := range orders {
		line := func() order.PlacedLine {
			return order.PlacedLine{SKU: w.pick("sku-", skus), Quantity: 1}
		}
		_, value := codecs.EncodeOrderEvent(order.Placed{
			Customer: order.Customer{ID: "c", Email: "a@example.com"}, Lines: []order.PlacedLine{line(), line()},
		})
		w.put(processors.OrderEvents, fmt.Sprintf("order-%08d", i*7919%orders), value, -1)
		if i%16 == 15 {
			w.work(1 << 30)
		}
	}
	delete(w.logs, engine.DeadLetters)
}
