package benchmarks

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/processors"
	"stockflow/processors/inventory"
)

// work is what engines are measured by: the inventory machine's, so a message is consumed, its row read and written,
// and an answer sent. It lies in the log before anyone begins.
type work struct {
	skus         int // each is received once
	reservations int // of one unit each, by turns
}

func (w work) messages() int { return w.skus + w.reservations }

const workPartitions = 4

// stand is a broker in this process, with a work in its log and nothing else.
type stand struct {
	testing.TB
	*watcher
	dir  string // for what an engine keeps
	work work
}

func newStand(t testing.TB, w work) *stand {
	t.Helper()
	b, err := broker.OpenEmbedded(t.TempDir(), broker.Unsynced(), broker.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	topics := []broker.Topic{
		{Name: processors.InventoryEvents, Kind: broker.Log}, {Name: processors.OrderEvents, Kind: broker.Log},
		{Name: processors.InventoryTable, Kind: broker.Table}, {Name: engine.Letters, Kind: broker.Letters},
	}
	if _, _, err := broker.Ensure(t.Context(), b.Connection(), topics, workPartitions); err != nil {
		t.Fatal(err)
	}
	s := &stand{TB: t, watcher: newWatcher(t, b.Connection()), dir: t.TempDir(), work: w}
	s.load()
	return s
}

// load writes the work down. A reservation says which message of which order made it, as Stockflow insists on, so
// there is a first record in each partition of the orders' log for them to name.
func (s *stand) load() {
	s.Helper()
	p := newProducer(s, s.conn)
	for partition := range int32(workPartitions) {
		p.send(&kgo.Record{Topic: processors.OrderEvents, Partition: partition, Value: []byte("{}")})
	}
	_, receipt := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: inventory.MaxQuantity})
	for i := range s.work.skus {
		p.send(s.message(i, receipt))
	}
	for i := range s.work.reservations {
		order := fmt.Sprintf("o-%07d", i)
		_, value := codecs.EncodeInventoryEvent(inventory.Reserve{OrderID: order, Quantity: 1})
		r := s.message(i%s.work.skus, value)
		origin := codecs.Origin{Log: processors.OrderEvents, Partition: int32(i % workPartitions), Index: int32(i)}
		r.Headers = []kgo.RecordHeader{{Key: codecs.HeaderOrigin, Value: codecs.EncodeOrigin(origin)}}
		p.send(r)
	}
	p.close()
}

func (s *stand) message(sku int, value []byte) *kgo.Record {
	key := fmt.Appendf(nil, "sku-%05d", sku)
	return &kgo.Record{Topic: processors.InventoryEvents, Partition: broker.Partition(key, workPartitions), Key: key, Value: value}
}

// done reports whether all effects of the work are in the logs: every answer, and the last row of every SKU.
// What is committed after that is safe to commit.
func (s *stand) done(ctx context.Context) (bool, error) {
	answers, err := s.length(ctx, processors.OrderEvents)
	if err != nil || answers < int64(s.work.reservations+workPartitions) {
		return false, err
	}
	return s.takenIn(ctx, processors.InventoryEvents, processors.InventoryTable, appliedOf(codecs.DecodeInventoryRow))
}

// contender is an engine: it runs a machine until ctx ends.
type contender func(ctx context.Context, s *stand, m engine.Machine[inventory.State]) error

// run lets an engine do the work and returns how long that took: from the first decision, so without joining the
// group, to the last effect; clock runs meanwhile. Then it stops the engine and checks that what was done is committed.
func (s *stand) run(c contender, clock clock) time.Duration {
	s.Helper()
	begun, began := make(chan struct{}), time.Time{}
	begin := sync.OnceFunc(func() { began = time.Now(); close(begun) })
	m := processors.Inventory(nil)
	apply := m.Apply
	m.Apply = func(state inventory.State, key string, at int64, d codecs.Decoded) engine.Result[inventory.State] {
		begin()
		return apply(state, key, at, d)
	}
	ctx, stop := context.WithCancel(s.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- c(ctx, s, m) }()
	select {
	case <-begun:
	case err := <-ended:
		s.Fatal("the engine ended before it began: ", err)
	}
	clock.StartTimer()
	s.until(s, s.done)
	took := time.Since(began)
	clock.StopTimer()
	stop()
	if err := <-ended; err != nil {
		s.Fatal(err)
	}
	if n, err := s.committed(s.Context(), m.Group, m.Log); err != nil || n != int64(s.work.messages()) {
		s.Fatalf("%d of %d messages are committed, %v", n, s.work.messages(), err)
	}
	return took
}

// clock is a benchmark's.
type clock interface {
	StartTimer()
	StopTimer()
}

// unclocked is for tests.
type unclocked struct{}

func (unclocked) StartTimer() {}
func (unclocked) StopTimer()  {}
