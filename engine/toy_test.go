package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/stockflowtest/fake"
)

// The toy machine adds up quantities by key. It speaks the inventory's vocabulary, so that rows and messages have
// real codecs: Receive adds; if it names a Location, the sum goes to the log "sink" as an output. Reserve, which only
// machines send, adds too, so that origins can be tried.
const (
	toyLog   = "toy-events"
	toyTable = "toy-table"
	toySink  = "sink"
)

func toyMachine() Machine[inventory.State] {
	return Machine[inventory.State]{
		Group: "toy", Log: toyLog, Table: toyTable, Sends: []string{toySink}, AcceptsFrom: []string{toySink}, RulesVersion: 1,
		Decode: codecs.DecodeInventoryEvent, DecodeRow: codecs.DecodeInventoryRow, EncodeRow: codecs.EncodeInventoryRow,
		Apply: func(s inventory.State, key string, at int64, d codecs.Decoded) Result[inventory.State] {
			switch m := d.Event.(type) {
			case inventory.Receive:
				s.Received += m.Quantity
				res := Result[inventory.State]{State: s}
				if m.Location != "" {
					res.Outputs = []Output{{Log: toySink, Key: key, Type: "sum", Value: fmt.Append(nil, s.Received)}}
				}
				return res
			case inventory.Reserve:
				s.Received += m.Quantity
				return Result[inventory.State]{State: s}
			case inventory.Adjust:
				panic("the toy machine does not adjust")
			}
			return Result[inventory.State]{Inapplicable: "the toy machine only adds"}
		},
	}
}

// hung is after how long something that is waited for doesn't come any more. A rebalance on a busy machine takes its time.
const hung = time.Minute

// within is a context that ends when what a test waits for is hung.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hung)
	t.Cleanup(cancel)
	return ctx
}

// arrive waits for something from a channel.
func arrive[T any](t *testing.T, c <-chan T, what string) (came T) {
	t.Helper()
	select {
	case came = <-c:
	case <-time.After(hung):
		t.Fatalf("after %s there is still no %s", hung, what)
	}
	return came
}

// bench is a Kafka with the toy machine's topics.
type bench struct {
	t          *testing.T
	kafka      *fake.Kafka
	conn       broker.Connection
	client     *kgo.Client
	dir        string
	partitions int32
}

func newBench(t *testing.T, partitions int32) *bench {
	t.Helper()
	kafka := fake.Open(t)
	b := newBenchAt(t, broker.Connection{Brokers: kafka.Brokers(), Session: 2 * time.Second}, partitions)
	b.kafka = kafka
	return b
}

func newBenchAt(t *testing.T, conn broker.Connection, partitions int32) *bench {
	t.Helper()
	topics := []broker.Topic{
		{Name: toyLog, Kind: broker.Log}, {Name: toySink, Kind: broker.Log},
		{Name: toyTable, Kind: broker.Table}, {Name: DeadLetters, Kind: broker.Letters},
	}
	if _, _, err := conn.Ensure(t.Context(), topics, partitions); err != nil {
		t.Fatal(err)
	}
	client, err := conn.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &bench{t: t, conn: conn, client: client, dir: t.TempDir(), partitions: partitions}
}

func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// put writes a record to the partition of its key, or to the one that at gives.
func (b *bench) put(topic, key string, value []byte, headers ...kgo.RecordHeader) *kgo.Record {
	return b.putAt(broker.Partition([]byte(key), b.partitions), topic, key, value, headers...)
}

func (b *bench) putAt(partition int32, topic, key string, value []byte, headers ...kgo.RecordHeader) *kgo.Record {
	b.t.Helper()
	r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: value, Headers: headers}
	if err := b.client.ProduceSync(b.t.Context(), r).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// receive is a message that adds; with a location it has an output.
func receive(quantity int64, location string) []byte {
	_, value := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: quantity, Location: location})
	return value
}

// run runs the machine in a group of its own until the returned function is called, which returns when it has ended.
func (b *bench) run(m Machine[inventory.State], with ...func(*Group)) (group *Group, stop func()) {
	b.t.Helper()
	g := NewGroup(m, Config{
		Conn: b.conn, Dir: b.dir, Partitions: b.partitions, Log: quiet(), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	for _, f := range with {
		f(g)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := arrive(b.t, done, "end of the group"); err != nil {
				b.t.Error("the group ended with", err)
			}
		})
	}
	b.t.Cleanup(stop)
	return g, stop
}

// follow calls each with the records of a topic from its start, until each returns true.
func (b *bench) follow(topic string, each func(*kgo.Record) (enough bool)) {
	b.t.Helper()
	client, err := b.conn.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(b.t.Context(), hung)
	defer cancel()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("%s never held what was waited for", topic)
		}
		for _, r := range fetches.Records() {
			if each(r) {
				return
			}
		}
	}
}

// sums waits until the changelog's newest rows are as wanted, and fails if any row goes beyond.
func (b *bench) sums(want map[string]int64) {
	b.t.Helper()
	have := map[string]int64{}
	b.t.Cleanup(func() {
		if b.t.Failed() {
			b.t.Logf("the rows were %v, wanted %v", have, want)
		}
	})
	b.follow(toyTable, func(r *kgo.Record) bool {
		_, s, err := codecs.DecodeInventoryRow(r.Value)
		if err != nil {
			b.t.Fatal(err)
		}
		have[string(r.Key)] = s.Received
		return maps.Equal(have, want)
	})
}

// sink waits for n outputs and returns them with their origins; repeats, by origin, are left out as a machine
// that hears them would.
func (b *bench) sink(n int) []string {
	b.t.Helper()
	seen := map[string]bool{}
	var outputs []string
	b.follow(toySink, func(r *kgo.Record) bool {
		if origin := headerOf(r, codecs.HeaderOrigin); !seen[origin] {
			seen[origin] = true
			outputs = append(outputs, string(r.Key)+"="+string(r.Value))
		}
		return len(outputs) == n
	})
	return outputs
}

func headerOf(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// committed returns the group's committed offset in a partition, -1 if there is none.
func (b *bench) committed(partition int32) int64 {
	b.t.Helper()
	offsets, err := kadm.NewClient(b.client).FetchOffsets(b.t.Context(), "toy")
	if err != nil {
		b.t.Fatal(err)
	}
	if o, ok := offsets.Lookup(toyLog, partition); ok {
		return o.At
	}
	return -1
}

// letters waits for n dead letters and returns them.
func (b *bench) letters(n int) []codecs.DeadLetter {
	b.t.Helper()
	var all []codecs.DeadLetter
	b.follow(DeadLetters, func(r *kgo.Record) bool {
		l, err := codecs.DecodeDeadLetter(r.Value)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, l)
		return len(all) == n
	})
	return all
}
