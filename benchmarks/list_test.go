package benchmarks

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
	"stockflow/views"
)

// sizes are how many rows the tables have whose pages are compared. -short leaves out the last, which takes minutes to fill.
var sizes = []int{1_000, 100_000, 1_000_000}

// pageRows is how many rows a page has here.
const pageRows = 100

// rare is how many rows in a table of any size are what is seldom: of one customer, backordered, nearly sold out.
const rare = 200

// BenchmarkList reads pages of 100 rows, with each combination of filters, each page from another place in the list. The
// rare ones are spread over the whole table; those of any customer are too, and are of another customer each time, so that no
// cache has them. gets is the same number of rows by key, one by one, for comparison.
func BenchmarkList(b *testing.B) {
	sizes := sizes
	if testing.Short() {
		sizes = sizes[:len(sizes)-1]
	}
	for _, rows := range sizes {
		tables := newLibrary(b, rows)
		for _, c := range []struct {
			name string
			sel  views.Selection[order.State]
		}{
			{"orders/all", views.Orders(order.None, "")},
			{"orders/status=confirmed", views.Orders(order.Confirmed, "")},
			{"orders/status=backordered(rare)", views.Orders(order.Backordered, "")},
			{"orders/customer(rare)", views.Orders(order.None, "big")},
			{"orders/customer+status(rare)", views.Orders(order.Backordered, "big")},
		} {
			pages(b, c.name, rows, tables.Orders, always(c.sel), orderKey)
		}
		pages(b, "orders/customer(any)", rows, tables.Orders, func() views.Selection[order.State] {
			return views.Orders(order.None, customerID(1+rand.IntN(rows/rare-1)))
		}, orderKey)
		for _, c := range []struct {
			name string
			sel  views.Selection[inventory.State]
			key  func(int) string
		}{
			{"inventory/all", views.Stock(""), skuKey},
			{"inventory/prefix", views.Stock("s-00000"), among},
			{"inventory/max_available=5(rare)", views.StockUpTo("", 5), skuKey},
			{"inventory/max_available=1500", views.StockUpTo("", 1500), skuKey},
			{"inventory/max_available=1000000000", views.StockUpTo("", 1_000_000_000), skuKey},
			{"inventory/prefix+max_available=1500", views.StockUpTo("s-00000", 1500), among},
		} {
			pages(b, c.name, rows, tables.Inventory, always(c.sel), c.key)
		}
		pages(b, "shipments/all", rows, tables.Shipments, always(views.Shipments(shipment.None)), orderKey)
		pages(b, "shipments/status=scheduled(rare)", rows, tables.Shipments, always(views.Shipments(shipment.StatusScheduled)), orderKey)
		gets(b, rows, tables.Orders)
	}
}

func always[S any](sel views.Selection[S]) func() views.Selection[S] {
	return func() views.Selection[S] { return sel }
}

// pages reads a page after another, from the first half of the keys.
func pages[S any](b *testing.B, name string, rows int, table *views.Table[S], sel func() views.Selection[S], key func(int) string) {
	b.Run(fmt.Sprintf("%s/rows=%d", name, rows), func(b *testing.B) {
		defer reportCPU(b, cpuTime())
		for b.Loop() {
			page, _, err := table.List(sel(), key(rand.IntN(rows/2)), pageRows)
			if err != nil {
				b.Fatal(err)
			}
			if len(page) < pageRows/2 {
				b.Fatalf("a page has %d rows", len(page))
			}
		}
	})
}

func gets(b *testing.B, rows int, table *views.Table[order.State]) {
	b.Run(fmt.Sprintf("gets/rows=%d", rows), func(b *testing.B) {
		defer reportCPU(b, cpuTime())
		for b.Loop() {
			for range pageRows {
				if _, err := table.Get(orderKey(rand.IntN(rows))); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkListUnderWrites reads pages of a table into which rows come as fast as its changelog takes them.
func BenchmarkListUnderWrites(b *testing.B) {
	const rows = 100_000
	logs, tables := newEmptyLibrary(b)
	fillLibrary(b, logs, rows)
	followed(b, tables)
	ctx, stop := context.WithCancel(b.Context())
	var wrote atomic.Int64
	var writer sync.WaitGroup
	writer.Go(func() {
		p := newProducer(b, logs)
		defer p.close()
		for i := int64(0); ctx.Err() == nil; i++ {
			n := rand.IntN(rows)
			s := orderRow(n, rows)
			s.Status = order.Confirmed + order.Status(i%2)*(order.Shipped-order.Confirmed)
			p.send(toShelf(processors.OrderTable, orderKey(n), codecs.EncodeOrderRow(codecs.Head{Applied: 1 + i}, s)))
			wrote.Add(1)
		}
	})
	var took []time.Duration
	before, began := wrote.Load(), time.Now()
	for b.Loop() {
		start := time.Now()
		if _, _, err := tables.Orders.List(views.Orders(order.Confirmed, ""), orderKey(rand.IntN(rows/2)), pageRows); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	b.ReportMetric(float64(wrote.Load()-before)/time.Since(began).Seconds(), "writes/s")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms/p99")
	stop()
	writer.Wait()
}

// newLibrary returns tables of so many rows each that can be read.
func newLibrary(b *testing.B, rows int) *views.Tables {
	b.Helper()
	logs, tables := newEmptyLibrary(b)
	fillLibrary(b, logs, rows)
	began := time.Now()
	followed(b, tables)
	b.Logf("3 tables of %d rows, with their indexes, were read from the changelog in %v", rows, time.Since(began).Round(time.Millisecond))
	settled()
	return tables
}

// settled returns when the process has next to nothing to do: the stores merge their files for a while after they were filled.
func settled() {
	const moment = 500 * time.Millisecond
	for before := cpuTime(); ; before = cpuTime() {
		if time.Sleep(moment); cpuTime()-before < moment/20 {
			return
		}
	}
}

func reportCPU(b *testing.B, before time.Duration) {
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

func newEmptyLibrary(b *testing.B) (broker.Broker, *views.Tables) {
	b.Helper()
	logs := openJournal(b, b.TempDir())
	var topics []broker.Topic
	for _, name := range []string{processors.OrderTable, processors.InventoryTable, processors.ShipmentTable} {
		topics = append(topics, broker.Topic{Name: name, Kind: broker.Table})
	}
	if _, _, err := logs.Ensure(b.Context(), topics, workPartitions); err != nil {
		b.Fatal(err)
	}
	return logs, views.Open(logs, b.TempDir(), slog.New(slog.DiscardHandler))
}

// followed runs the tables until the benchmark ends, and returns when they can be read.
func followed(b *testing.B, tables *views.Tables) {
	b.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{tables.Orders.Run, tables.Inventory.Run, tables.Shipments.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	b.Cleanup(func() { stop(); running.Wait() })
	for _, wait := range []func(context.Context) error{
		tables.Orders.WaitRecovered, tables.Inventory.WaitRecovered, tables.Shipments.WaitRecovered,
	} {
		if err := wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func fillLibrary(b *testing.B, logs broker.Broker, rows int) {
	b.Helper()
	p := newProducer(b, logs)
	for i := range rows {
		head := codecs.Head{Applied: int64(i)}
		p.send(toShelf(processors.OrderTable, orderKey(i), codecs.EncodeOrderRow(head, orderRow(i, rows))))
		p.send(toShelf(processors.InventoryTable, skuKey(i), codecs.EncodeInventoryRow(head, stockRow(i, rows))))
		p.send(toShelf(processors.ShipmentTable, orderKey(i), codecs.EncodeShipmentRow(head, parcelRow(i, rows))))
	}
	p.close()
}

func toShelf(table, key string, row []byte) *kgo.Record {
	return &kgo.Record{Topic: table, Partition: broker.Partition([]byte(key), workPartitions), Key: []byte(key), Value: row}
}

func orderKey(i int) string { return fmt.Sprintf("order-%08d", i) }

func skuKey(i int) string { return fmt.Sprintf("s-%08d", i) }

// among returns a key among the thousand that begin with s-00000.
func among(i int) string { return skuKey(i % 400) }

// customerID is that of one who has as many orders as there are rare ones.
func customerID(i int) string { return fmt.Sprint("c-", i) }

func isRare(i, rows int) bool { return i%(rows/rare) == 0 }

func orderRow(i, rows int) order.State {
	s := order.State{
		Status: order.Confirmed, Customer: order.Customer{ID: customerID(i % (rows / rare)), Email: "someone@example.org"},
		Lines: []order.Line{{SKU: skuKey(i), Quantity: 2, Status: order.LineReserved, Allocations: []inventory.Allocation{{Location: "main", Quantity: 2}}},
			{SKU: skuKey(i + 1), Quantity: 1, Status: order.LineReserved, Allocations: []inventory.Allocation{{Location: "main", Quantity: 1}}}},
		History: []order.Change{{Status: order.Pending, At: int64(i)}, {Status: order.Confirmed, At: int64(i + 5)}},
	}
	if isRare(i, rows) {
		s.Status, s.Customer.ID = order.Backordered, "big"
	}
	return s
}

func stockRow(i, rows int) inventory.State {
	n := int64(1000 + i%1000)
	if isRare(i, rows) {
		n = 3
	}
	return inventory.State{Known: true, Received: n, Locations: []inventory.Stock{{Location: "main", OnHand: n}}}
}

func parcelRow(i, rows int) shipment.State {
	s := shipment.State{
		Status: shipment.StatusDelivered, Carrier: "DHL", TrackingNumber: fmt.Sprint(i),
		Lines: []shipment.Line{{SKU: skuKey(i), Quantity: 2}},
	}
	if isRare(i, rows) {
		s.Status = shipment.StatusScheduled
	}
	return s
}
