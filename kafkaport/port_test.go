package kafkaport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/journal"
)

// The topics of the tests: two logs that may be produced to, one that may not, and a table.
const (
	orders  = "order-events" // 3 partitions
	single  = "shipment-events"
	letters = "dead-letters"
	table   = "order-table"
)

const ownGroup = "order"

// a port is a server in front of a journal.
type port struct {
	t       testing.TB
	journal *journal.Journal
	server  *Server
	address string
}

// quiet logs to the test.
func quiet(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, nil))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// openJournal returns a journal with the topics of the tests.
func openJournal(t testing.TB) *journal.Journal {
	t.Helper()
	return openJournalWith(t, journal.Options{TailBytes: 8 << 20, Reserve: -1})
}

func openJournalWith(t testing.TB, o journal.Options) *journal.Journal {
	t.Helper()
	o.Log = quiet(t)
	j, err := journal.Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	for _, topic := range []journal.Topic{
		{Name: orders, Kind: journal.Log, Partitions: 3}, {Name: single, Kind: journal.Log, Partitions: 1},
		{Name: letters, Kind: journal.Log, Partitions: 1}, {Name: table, Kind: journal.Table, Partitions: 1},
	} {
		if _, err := j.CreateTopic(topic.Name, topic.Kind, topic.Partitions); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// open opens a port in front of a journal of its own.
func open(t testing.TB, limits Limits) *port {
	t.Helper()
	return openOn(t, openJournal(t), "127.0.0.1:0", limits)
}

// openOn opens a port in front of a journal, at an address.
func openOn(t testing.TB, j *journal.Journal, address string, limits Limits) *port {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &port{t: t, journal: j, address: listener.Addr().String()}
	p.server = New(Config{Journal: j, Log: quiet(t), Writable: []string{orders, single, table}, Groups: []string{ownGroup}, Limits: limits})
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(listener) }()
	t.Cleanup(func() {
		p.close()
		if err := <-served; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return p
}

// close closes the port; the journal stays open.
func (p *port) close() {
	p.t.Helper()
	if err := p.server.Close(); err != nil {
		p.t.Error(err)
	}
}

// client returns a client of the port, which ends with the test.
func (p *port) client(options ...kgo.Opt) *kgo.Client {
	p.t.Helper()
	return clientAt(p.t, p.address, options...)
}

func clientAt(t testing.TB, address string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(address), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// append appends to a partition as Stockflow does, and waits until it is durable.
func (p *port) append(topic string, n int32, records ...journal.Record) {
	p.t.Helper()
	_, at, err := p.journal.Partition(topic, n).Append(records...)
	if err == nil {
		err = p.journal.WaitDurable(p.t.Context(), at)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// ends are where the partitions of a topic end.
func (p *port) ends(topic string) (all []int64) {
	for n := int32(0); ; n++ {
		partition := p.journal.Partition(topic, n)
		if partition == nil {
			return all
		}
		_, end := partition.Bounds(journal.Durable)
		all = append(all, end)
	}
}

// produce has a client produce values and wait for their acknowledgement.
func produce(t testing.TB, c *kgo.Client, topic string, values ...string) {
	t.Helper()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(v), Value: []byte(v)})
	}
	if err := c.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// consume polls until it has n records.
func consume(t testing.TB, c *kgo.Client, n int) (records []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(records) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(records), n, err)
		}
		fetches.EachError(func(topic string, n int32, err error) { t.Errorf("%s/%d: %v", topic, n, err) })
		records = append(records, fetches.Records()...)
	}
	return records
}

// numbered are values that differ.
func numbered(what string, n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprintf("%s-%d", what, i))
	}
	return values
}
