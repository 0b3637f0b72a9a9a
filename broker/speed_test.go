package broker_test

import (
	"log/slog"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/journal"
)

// event is a record as processors send it.
func event() *kgo.Record {
	return &kgo.Record{Topic: "log", Key: []byte("order-1234"), Value: make([]byte, 150), Headers: []kgo.RecordHeader{
		{Key: "stockflow-origin", Value: []byte("order-events/3/12345/1")},
		{Key: "ce_id", Value: []byte("order-events/3/12345/1")},
		{Key: "ce_type", Value: []byte("stockflow.reserve_requested")},
		{Key: "ce_source", Value: []byte("//stockflow/0123456789abcdef")},
		{Key: "ce_time", Value: []byte("2026-01-02T03:04:05.678Z")},
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "content-type", Value: []byte("application/protobuf")},
	}}
}

// BenchmarkLocalProduce is what appending an event costs.
func BenchmarkLocalProduce(b *testing.B) {
	produce := benchmarkProducer(b, benchmarkLocal(b))
	b.ReportAllocs()
	for b.Loop() {
		produce()
	}
}

// BenchmarkLocalDeliver is what it costs to append an event and have it in the channel of a consumer.
func BenchmarkLocalDeliver(b *testing.B) {
	l := benchmarkLocal(b)
	produce, messages := benchmarkProducer(b, l), benchmarkMessages(b, l)
	b.ReportAllocs()
	for b.Loop() {
		produce()
		<-messages
	}
}

// BenchmarkLocalDeliverMany is the same for events that are appended while others are delivered.
func BenchmarkLocalDeliverMany(b *testing.B) {
	l := benchmarkLocal(b)
	produce, messages := benchmarkProducer(b, l), benchmarkMessages(b, l)
	b.ReportAllocs()
	for b.Loop() {
		for range 50 {
			produce()
		}
		for range 50 {
			<-messages
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(50*b.N), "ns/event")
}

// BenchmarkLocalFollow is what an event costs a follower that is behind.
func BenchmarkLocalFollow(b *testing.B) {
	const events = 20_000
	l := benchmarkLocal(b)
	produce := benchmarkProducer(b, l)
	for range events {
		produce()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		f, err := l.Follow(map[string]map[int32]int64{"log": {0: 0}})
		if err != nil {
			b.Fatal(err)
		}
		for read := 0; read < events && n < b.N; {
			batches, err := f.Poll(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			read += len(batches[0].Records)
			n += len(batches[0].Records)
		}
		f.Close()
	}
}

func benchmarkLocal(b *testing.B) broker.Local {
	b.Helper()
	j, err := journal.Open(b.TempDir(), journal.Options{Log: slog.New(slog.DiscardHandler), MaxRecent: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := j.Close(); err != nil {
			b.Error(err)
		}
	})
	if _, err := j.CreateTopic("log", journal.Log, 1); err != nil {
		b.Fatal(err)
	}
	return broker.NewLocal(j).Inside()
}

func benchmarkProducer(b *testing.B, l broker.Local) (produce func()) {
	b.Helper()
	p, err := l.Producer(broker.LargestMessage)
	if err != nil {
		b.Fatal(err)
	}
	r := event()
	return func() {
		p.Produce(b.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

func benchmarkMessages(b *testing.B, l broker.Local) <-chan *sarama.ConsumerMessage {
	b.Helper()
	c, err := l.Consumer("client")
	if err != nil {
		b.Fatal(err)
	}
	p, err := c.ConsumePartition("log", 0, sarama.OffsetNewest)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	})
	return p.Messages()
}
