package benchmarks

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/machines/inventory"
	"stockflow/processors"
	"stockflow/stockflowtest/fake"
)

// work is what engines are measured by: the inventory machine's, so a message is consumed, its row read and written,
// and an answer sent. It lies in the log before anyone begins.
type work struct {
	name     string
	skus     int
	messages int // to the SKUs by turns
	// heard messages are reservations and come from a machine, as most do: each says which message made it, and its
	// row remembers, so that a repeat is dropped. Only Stockflow does that. Otherwise they are receipts that come
	// from outside, and each engine reads and writes the same rows, and does the same.
	heard bool
}

const workPartitions = 4

// stand is a place for logs in this process, with a work in its log and nothing else.
type stand struct {
	testing.TB
	*watcher
	place
	dir  string // for what an engine keeps
	work work
}

// place is where the logs are.
type place struct {
	outside broker.Broker // as the world sees them
	inside  broker.Broker // as an engine does
	close   func()        // for who can't wait for the end of the test
}

// onJournal is a journal, on a disk, as the program has it.
func onJournal(t testing.TB) place {
	t.Helper()
	local := openJournal(t, t.TempDir())
	return place{local, local.Inside(), func() { closeJournal(t, local) }}
}

// openJournal opens the journal in a directory, until the test ends.
func openJournal(t testing.TB, dir string) broker.Local {
	t.Helper()
	j, err := journal.Open(dir, journal.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return broker.NewLocal(j)
}

func closeJournal(t testing.TB, local broker.Local) {
	t.Helper()
	if err := local.Journal().Close(); err != nil {
		t.Error(err)
	}
}

// onKafka is a fake one in memory.
func onKafka(t testing.TB) place {
	t.Helper()
	k := fake.Open(t)
	conn := broker.Connection{Brokers: k.Brokers()}
	return place{conn, conn, k.Close}
}

func newStand(t testing.TB, w work, open func(testing.TB) place) *stand {
	t.Helper()
	at := open(t)
	topics := []broker.Topic{
		{Name: processors.InventoryEvents, Kind: broker.Log}, {Name: processors.OrderEvents, Kind: broker.Log},
		{Name: processors.InventoryTable, Kind: broker.Table}, {Name: engine.DeadLetters, Kind: broker.Letters},
	}
	if _, _, err := at.outside.Ensure(t.Context(), topics, workPartitions); err != nil {
		t.Fatal(err)
	}
	s := &stand{TB: t, watcher: newWatcher(t, at.outside), place: at, dir: t.TempDir(), work: w}
	s.load()
	return s
}

// load writes the work down. A message that is heard names one of another log, so there is a first record in each of
// that log's partitions to be named.
func (s *stand) load() {
	s.Helper()
	p := newProducer(s, s.inside)
	for partition := range int32(workPartitions) {
		p.send(&kgo.Record{Topic: processors.OrderEvents, Partition: partition, Value: []byte("{}")})
	}
	_, receipt := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: 1_000_000})
	for i := range s.work.messages {
		if !s.work.heard || i < s.work.skus {
			p.send(s.message(i%s.work.skus, receipt))
			continue
		}
		_, value := codecs.EncodeInventoryEvent(inventory.Reserve{OrderID: fmt.Sprintf("o-%07d", i), Quantity: 1})
		r := s.message(i%s.work.skus, value)
		origin := codecs.Origin{Log: processors.OrderEvents, Partition: int32(i % workPartitions), Index: int32(i)}
		r.Headers = []kgo.RecordHeader{{Key: codecs.HeaderOrigin, Value: codecs.EncodeOrigin(origin)}}
		p.send(r)
	}
	p.close()
}

// machine is the inventory machine, but that it answers receipts too: to the SKU, with what there is now. begin is
// called at each message.
func machine(begin func()) engine.Machine[inventory.State] {
	m := processors.Inventory(nil)
	apply := m.Apply
	m.Apply = func(s inventory.State, key string, at int64, d codecs.Decoded) engine.Result[inventory.State] {
		begin()
		r := apply(s, key, at, d)
		if len(r.Outputs) == 0 {
			there := inventory.Allocation{Location: inventory.DefaultLocation, Quantity: r.State.Available()}
			typ, value := codecs.EncodeOrderEvent(inventory.Reserved{SKU: key, Allocations: []inventory.Allocation{there}})
			r.Outputs = append(r.Outputs, engine.Output{Log: processors.OrderEvents, Key: key, Type: typ, Value: value})
		}
		return r
	}
	return m
}

func (s *stand) message(sku int, value []byte) *kgo.Record {
	key := fmt.Appendf(nil, "sku-%05d", sku)
	return &kgo.Record{Topic: processors.InventoryEvents, Partition: broker.Partition(key, workPartitions), Key: key, Value: value}
}

// done reports whether all effects of the work are in the logs: every answer, and the last row of every SKU.
// What is committed after that is safe to commit.
func (s *stand) done(ctx context.Context) (bool, error) {
	answers, err := s.length(ctx, processors.OrderEvents)
	if err != nil || answers < int64(s.work.messages+workPartitions) {
		return false, err
	}
	return s.takenIn(ctx, processors.InventoryEvents, processors.InventoryTable, appliedOf(codecs.DecodeInventoryRow))
}

// contender is an engine: it runs a machine until ctx ends.
type contender func(ctx context.Context, s *stand, m engine.Machine[inventory.State]) error

// cost is what a work took: by the clock, and of the time of all processors, the broker's share included.
type cost struct {
	clock, processors time.Duration
}

// run lets an engine do the work and returns what that took: from the first decision, so without joining the group,
// to the last effect; clock runs meanwhile. Then it stops the engine and checks that what was done is committed.
func (s *stand) run(c contender, clock clock) cost {
	s.Helper()
	begun, began, used := make(chan struct{}), time.Time{}, time.Duration(0)
	begin := sync.OnceFunc(func() { began, used = time.Now(), processorTime(); close(begun) })
	m := machine(begin)
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
	s.until(s, func(ctx context.Context) (bool, error) {
		select {
		case err := <-ended:
			return false, fmt.Errorf("the engine ended before its work: %w", err)
		default:
			return s.done(ctx)
		}
	})
	took := cost{time.Since(began), processorTime() - used}
	clock.StopTimer()
	stop()
	if err := <-ended; err != nil {
		s.Fatal(err)
	}
	if err := s.outside.Sync(s.Context()); err != nil {
		s.Fatal(err)
	}
	if n, err := s.committed(s.Context(), m.Group, m.Log); err != nil || n != int64(s.work.messages) {
		s.Fatalf("%d of %d messages are committed, %v", n, s.work.messages, err)
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

// processorTime is what this process has used of all processors so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
