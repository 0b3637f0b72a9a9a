package fake_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/stockflowtest/fake"
)

var topics = []broker.Topic{{Name: "orders", Kind: broker.Log}, {Name: "order-table", Kind: broker.Table}}

// ensure makes the topics as the program does on Kafka, which wants every setting to be kept.
func ensure(t *testing.T, k *fake.Kafka) broker.Connection {
	t.Helper()
	c := broker.Connection{Brokers: k.Brokers()}
	if _, warnings, err := c.Ensure(t.Context(), topics, 1); err != nil || len(warnings) > 0 {
		t.Fatalf("%q, %v", warnings, err)
	}
	return c
}

func client(t *testing.T, c broker.Connection, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := c.Client(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// value is worth being compressed.
var value = bytes.Repeat([]byte("value "), 100)

// produce writes records in one batch, at the times given.
func produce(t *testing.T, c broker.Connection, topic string, codec kgo.CompressionCodec, times ...time.Time) {
	t.Helper()
	cl := client(t, c, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(time.Minute))
	for i, at := range times {
		r := &kgo.Record{Topic: topic, Key: fmt.Append(nil, i), Value: value, Timestamp: at, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
		cl.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// consume returns the first n records of a topic.
func consume(t *testing.T, c broker.Connection, topic string, n int) (all []*kgo.Record) {
	t.Helper()
	err := c.Read(t.Context(), topic, 0, 0, int64(n), func(r *kgo.Record) error {
		all = append(all, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The records of a log lie at the broker's time, however their producer wrote them; those of a table keep the producer's.
func TestRecordsHaveTheTimeThatTheirTopicSays(t *testing.T) {
	wild := []time.Time{time.UnixMilli(1), time.UnixMilli(5), time.UnixMilli(4_000_000_000_000)}
	for name, codec := range map[string]kgo.CompressionCodec{
		"plain": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			c := ensure(t, fake.Open(t))
			before := time.Now().Truncate(time.Millisecond)
			produce(t, c, "orders", codec, wild...)
			after := time.Now()
			now := func(at time.Time) bool { return !at.Before(before) && !at.After(after) }
			for i, r := range consume(t, c, "orders", len(wild)) {
				if !now(r.Timestamp) {
					t.Errorf("record %d of the log is of %v, and was produced between %v and %v", i, r.Timestamp, before, after)
				}
				if string(r.Key) != fmt.Sprint(i) || !bytes.Equal(r.Value, value) || len(r.Headers) != 1 || string(r.Headers[0].Value) != "v" {
					t.Errorf("record %d of the log is %+v", i, r)
				}
			}
			last, err := kadm.NewClient(client(t, c)).ListMaxTimestampOffsets(t.Context(), "orders")
			if o, _ := last.Lookup("orders", 0); err != nil || !now(time.UnixMilli(o.Timestamp)) {
				t.Errorf("the last time in the log is %v, %v", time.UnixMilli(o.Timestamp), err)
			}
			produce(t, c, "order-table", codec, wild...)
			for i, r := range consume(t, c, "order-table", len(wild)) {
				if !r.Timestamp.Equal(wild[i]) {
					t.Errorf("record %d of the table is of %v, want %v", i, r.Timestamp, wild[i])
				}
			}
		})
	}
}

// A cluster that is closed and opened on its directory again has its records, topics and committed offsets.
func TestWhatIsClosedCanBeOpenedAgain(t *testing.T) {
	dir := kfake.DataDir(t.TempDir())
	first := fake.Open(t, dir)
	c := ensure(t, first)
	produce(t, c, "orders", kgo.NoCompression(), time.Now())
	offsets := kadm.Offsets{}
	offsets.AddOffset("orders", 0, 1, -1)
	if _, err := kadm.NewClient(client(t, c)).CommitOffsets(t.Context(), "group", offsets); err != nil {
		t.Fatal(err)
	}
	first.Close()

	c = ensure(t, fake.Open(t, dir))
	consume(t, c, "orders", 1)
	committed, err := kadm.NewClient(client(t, c)).FetchOffsets(t.Context(), "group")
	if o, ok := committed.Lookup("orders", 0); err != nil || !ok || o.At != 1 {
		t.Errorf("committed %v, %v; want 1", o.At, err)
	}
}
