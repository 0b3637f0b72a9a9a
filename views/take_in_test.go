package views

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"stockflow/codecs"
	"stockflow/machines/order"
	"stockflow/processors"
)

// entry is a record of a changelog, as goka tells it.
type entry struct {
	partition  int32
	offset     int64
	taken      []byte // its header, nil if it has none
	key        string
	row        []byte
	fromClient bool
}

func (r *entry) Topic() goka.Stream   { return things }
func (r *entry) Partition() int32     { return r.partition }
func (r *entry) Offset() int64        { return r.offset }
func (r *entry) Timestamp() time.Time { return time.Time{} }
func (r *entry) Headers() goka.Headers {
	if r.taken == nil {
		return goka.Headers{}
	}
	return goka.Headers{codecs.HeaderTaken: r.taken}
}

// inMap is a store that costs little.
type inMap struct {
	storage.Storage // what is not there is not called
	mu              sync.Mutex
	values          map[string][]byte
}

func (m *inMap) Get(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], nil
}

func (m *inMap) Set(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = value
	return nil
}

func (m *inMap) MarkRecovered() error { return nil }

// BenchmarkTakeIn is what a row costs between the broker and its store: of each order there are four, and when it is watched
// somebody waits for the first.
func BenchmarkTakeIn(b *testing.B) {
	records := orderRecords(1 << 14)
	for name, watched := range map[string]bool{"unwatched": false, "watched": true} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, 1)
			table := NewTable(processors.OrderTable, codecs.DecodeOrderRow, w.conn, w.dir, slog.New(slog.DiscardHandler))
			table.begin(1, func(error) {})
			rows := &inMap{values: map[string][]byte{}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(records) == 0 {
					rows = &inMap{values: map[string][]byte{}}
				}
				r := records[i%len(records)]
				var watch *Watch[order.State]
				if watched && r.fromClient {
					watch = newWatch(&table.watches, r.key)
				}
				if err := table.takeIn(r, rows, r.key, r.row); err != nil {
					b.Fatal(err)
				}
				if watch != nil {
					if _, err := watch.Decision(b.Context(), r.offset); err != nil {
						b.Fatal(err)
					}
					watch.Close()
				}
			}
		})
	}
}

// orderRecords are the records of orders of two lines: one when it was placed, and what machines had to say to it.
func orderRecords(n int) (records []*entry) {
	inventory := func(i int, index int32) codecs.Origin {
		return codecs.Origin{Log: processors.InventoryEvents, Partition: int32(i % 8), Offset: int64(i), Index: index}
	}
	state := order.State{
		Status: order.Pending, ShipTo: "12 St James's Square\nLondon SW1Y 4LE\nUnited Kingdom",
		Customer: order.Customer{ID: "17850", Name: "Ada Lovelace", Email: "ada.lovelace@example.org"},
		Lines:    []order.Line{{SKU: "desk", Quantity: 1}, {SKU: "lamp", Quantity: 2}},
		History:  []order.Change{{Status: order.Pending, At: 1}},
	}
	sent := []codecs.Sent{{Log: processors.InventoryEvents, Key: "desk"}, {Log: processors.InventoryEvents, Key: "lamp"}}
	for i := range 4 * n {
		taken := codecs.Taken{Offset: int64(i), Sent: sent}
		head := codecs.Head{Applied: int64(i)}
		if i%4 > 0 {
			origin := inventory(i, 0)
			taken.Origin, taken.Sent, head.Seen = &origin, nil, []codecs.Origin{inventory(i-1, 0), origin}
		}
		records = append(records, &entry{
			offset: int64(i), key: fmt.Sprintf("order-%08d", i/4), row: codecs.EncodeOrderRow(head, state),
			taken: codecs.EncodeTaken([]codecs.Taken{taken}), fromClient: i%4 == 0,
		})
	}
	return records
}
