package broker

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/stockflowtest/fake"
)

// bench is a fake Kafka with one topic of one partition.
type bench struct {
	t       *testing.T
	cluster *kfake.Cluster
	conn    Connection
}

const sink = "sink"

func newBench(t *testing.T) *bench {
	t.Helper()
	cluster := fake.Open(t, kfake.SeedTopics(1, sink)).Cluster()
	return &bench{t, cluster, Connection{Brokers: cluster.ListenAddrs()}}
}

// producer returns one that holds so many records.
func (b *bench) producer(limit int) *kafkaProducer {
	b.t.Helper()
	r, err := newKafkaProducer(b.conn, limit, producerOptions(LargestMessage)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(r.Close)
	return r
}

// What waits for room when the first error comes is not sent: what it was to follow has failed.
func TestWhatWaitsForRoomIsRefusedAfterAnError(t *testing.T) {
	b := newBench(t)
	r := b.producer(1)
	refusal := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: sink, Err: kerr.NotLeaderForPartition, Count: -1})
	first, second := make(chan error, 1), make(chan error, 1)
	ctx, fail := context.WithCancel(t.Context())
	produce := func(result chan error) {
		r.Produce(ctx, &kgo.Record{Topic: sink, Value: []byte("x")}, func(_ *kgo.Record, err error) { result <- err })
	}
	produce(first)
	if err := refusal.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	go produce(second)
	fail()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("what waited came to %v", err)
	}
	refusal.Remove()
	if err := <-first; err != nil {
		t.Error("what was on its way came to", err)
	}
}

// Room is given to all who wait for it, each once.
func TestRoomIsForAll(t *testing.T) {
	const limit, all = 3, 300
	b := newBench(t)
	r := b.producer(limit)
	var wait, sent sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			for range all / 10 {
				sent.Add(1)
				r.Produce(t.Context(), &kgo.Record{Topic: sink, Value: []byte("x")}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
					if n := r.BufferedProduceRecords(); n > limit+1 {
						t.Errorf("%d records are held", n)
					}
					sent.Done()
				})
			}
		})
	}
	wait.Wait()
	sent.Wait()
	if err := r.enter(t.Context()); err != nil {
		t.Error(err)
	}
}

// Records that come while the broker refuses one for good fail as that one does, or are refused: none is let in behind
// the hole.
func TestNothingIsLetInBehindARefusal(t *testing.T) {
	b := newBench(t)
	hit, kept := 0, 0
	for round := range 60 {
		from := b.end(sink)
		if b.letIn(round%7, 1+round%3) {
			hit++
		}
		to := b.end(sink)
		next := 0
		err := b.conn.Read(t.Context(), sink, 0, from, to, func(r *kgo.Record) error {
			if string(r.Value) != strconv.Itoa(next) {
				t.Fatalf("round %d: record %s is in the log, expected %d", round, r.Value, next)
			}
			next++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		kept += next
	}
	if hit == 0 || kept == 0 {
		t.Errorf("%d refusals, %d records before them", hit, kept)
	}
}

// letIn produces numbers from 0 until one of them fails, as the broker refuses some requests after a number of them. It returns
// when none is under way any more, and tells whether it was for that.
func (b *bench) letIn(after, times int) bool {
	b.t.Helper()
	const enough = 5_000_000
	r := b.producer(maxBuffered)
	id, _, err := r.ProducerID(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	seen := 0
	fault := b.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: sink, Err: kerr.UnknownServerError, Count: times,
		When: func(req kmsg.Request) bool {
			if producerOf(req) != id { // a request that was still on its way when the one before it was refused, in the round before
				return false
			}
			seen++
			return seen > after
		},
	})
	defer fault.Remove()
	var failure atomic.Pointer[error]
	var under sync.WaitGroup
	for i := 0; failure.Load() == nil; i++ {
		if i == enough {
			b.t.Fatalf("of %d records none was refused, and the broker has refused %d requests", i, fault.Hits())
		}
		under.Add(1)
		r.Produce(b.t.Context(), &kgo.Record{Topic: sink, Value: []byte(strconv.Itoa(i))}, func(_ *kgo.Record, err error) {
			if err != nil {
				failure.CompareAndSwap(nil, &err)
			}
			under.Done()
		})
	}
	under.Wait()
	return errors.Is(*failure.Load(), kerr.UnknownServerError)
}

// producerOf is the id of the producer of a request with one batch, -1 if the batch is empty: a client sends it so when it has
// dropped the records meanwhile.
func producerOf(req kmsg.Request) int64 {
	var batch kmsg.RecordBatch
	if err := batch.ReadFrom(req.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records); err != nil {
		return -1
	}
	return batch.ProducerID
}

// end is where the first partition of a topic ends.
func (b *bench) end(topic string) int64 {
	b.t.Helper()
	ends, err := b.conn.Ends(b.t.Context(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	return ends[TopicPartition{topic, 0}]
}
