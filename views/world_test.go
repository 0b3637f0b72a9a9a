package views

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal"
	"stockflow/machines/shipment"
	"stockflow/stockflowtest/fake"
)

// thing is a row that is easy to write down.
type thing struct {
	Rebuilt, Applied int64
	Value            string
}

func (th thing) row() []byte {
	head := codecs.Head{Rebuilt: th.Rebuilt, Applied: th.Applied}
	return codecs.EncodeShipmentRow(head, shipment.State{Carrier: th.Value})
}

func decodeThing(row []byte) (codecs.Head, string, error) {
	head, s, err := codecs.DecodeShipmentRow(row)
	return head, s.Carrier, err
}

// world is a broker with the changelog of one table, and a writer that stands for the table's owner.
type world struct {
	t      testing.TB
	conn   broker.Broker
	writer broker.Writer
	dir    string // of the table
}

const things = "things-table"

// newWorld is on a journal.
func newWorld(t testing.TB, partitions int32) *world {
	t.Helper()
	j, err := journal.Open(t.TempDir(), journal.Options{Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, j.Close()) })
	return worldOn(t, broker.NewLocal(j), partitions)
}

// newKafkaWorld is on Kafka, whose brokers may be away.
func newKafkaWorld(t testing.TB, partitions int32) (*world, *fake.Kafka) {
	t.Helper()
	kafka := fake.Open(t)
	return worldOn(t, broker.Connection{Brokers: kafka.Brokers()}, partitions), kafka
}

func worldOn(t testing.TB, b broker.Broker, partitions int32) *world {
	t.Helper()
	w := &world{t: t, conn: b, dir: t.TempDir()}
	_, _, err := b.Ensure(t.Context(), []broker.Topic{{Name: things, Kind: broker.Table}}, partitions)
	must(t, err)
	w.writer, err = b.Writer()
	must(t, err)
	t.Cleanup(w.writer.Close)
	return w
}

// append appends a record to the partition of its key, and returns when the topic has it.
func (w *world) append(topic string, r *kgo.Record) {
	w.t.Helper()
	found, err := w.conn.Topics(w.t.Context(), topic)
	must(w.t, err)
	r.Topic, r.Partition = topic, broker.Partition(r.Key, found[topic].Partitions)
	must(w.t, w.writer.Write(w.t.Context(), r))
}

// write appends a row to the changelog, and returns when the changelog has it.
func (w *world) write(key string, th thing, taken ...codecs.Taken) {
	w.t.Helper()
	r := &kgo.Record{Key: []byte(key), Value: th.row()}
	if len(taken) > 0 {
		r.Headers = []kgo.RecordHeader{{Key: codecs.HeaderTaken, Value: codecs.EncodeTaken(taken)}}
	}
	w.append(things, r)
}

func (w *world) table() *Table[string] {
	return NewTable(things, decodeThing, w.conn, w.dir, slog.New(slog.DiscardHandler))
}

// run runs a table until stop, or the end of the test.
func (w *world) run(table *Table[string]) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- table.Run(ctx) }()
	var stopped atomic.Bool
	stop = func() {
		if cancel(); stopped.Swap(true) {
			return
		}
		select {
		case err := <-done:
			must(w.t, err)
		case <-time.After(time.Minute):
			w.t.Fatal("the table doesn't end")
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// running returns a table that can be read.
func (w *world) running() (table *Table[string], stop func()) {
	w.t.Helper()
	table = w.table()
	stop = w.run(table)
	w.recovered(table)
	return table, stop
}

func (w *world) recovered(table *Table[string]) {
	w.t.Helper()
	must(w.t, table.WaitRecovered(within(w.t)))
}

// reopened waits until a table was closed, whose channel was before then, and can be read again.
func (w *world) reopened(table *Table[string], before chan struct{}) {
	w.t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for ctx, now := within(w.t), before; now == before; <-again.C { // it gets a new channel when it is closed
		if ctx.Err() != nil {
			w.t.Fatal("the table was not closed")
		}
		table.mu.RLock()
		now = table.recovered
		table.mu.RUnlock()
	}
	w.recovered(table)
}

// expect fails the test unless the table has value for key.
func (w *world) expect(table *Table[string], key, value string) {
	w.t.Helper()
	row, err := table.Get(key)
	must(w.t, err)
	if row.State != value {
		w.t.Errorf("the row of %q is %q, expected %q", key, row.State, value)
	}
}

// within is the time after which a test is hung.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func watch(t testing.TB, table *Table[string], key string) *Watch[string] {
	t.Helper()
	w, err := table.Watch(key)
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
