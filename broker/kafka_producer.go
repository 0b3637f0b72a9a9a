package broker

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaProducer is a Producer on franz-go: idempotent, in order, acknowledged by all replicas. It counts what the client holds itself, for the client lets a record that waited
// for room in after an error, too: that record would arrive where those before it, which failed, did not. For the same
// reason it lets nothing in once a broker has refused something for good, of which the client tells only later.
type kafkaProducer struct {
	*kgo.Client
	limit int64
	used  atomic.Int64

	letting sync.RWMutex // guards refusal; read-locked while the client takes a record
	refusal error        // why nothing is let in any more
	topics  sync.Map     // by name a chan struct{}, closed when the first record for the topic has arrived or failed

	waiting atomic.Int32 // of those in wait
	mu      sync.Mutex
	freed   *sync.Cond
}

// Producer implements Broker.
func (c Connection) Producer(largest int) (Producer, error) {
	p, err := newKafkaProducer(c, maxBuffered, producerOptions(largest)...)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func newKafkaProducer(conn Connection, limit int, opts ...kgo.Opt) (*kafkaProducer, error) {
	r := &kafkaProducer{limit: int64(limit)}
	r.freed = sync.NewCond(&r.mu)
	client, err := conn.intercepting(r.refuse, opts...)
	r.Client = client
	return r, err
}

// producerOptions are of those whose records must arrive without a hole: after a loss nothing more is sent.
func producerOptions(largest int) []kgo.Opt {
	return append(sendingOptions(largest), kgo.StopProducerOnDataLossDetected())
}

// sendingOptions leave the retries without limit: an outage is waited out, and what must end ends by its context. A
// broker that has just started may not know its topics yet, so that is waited out, too.
func sendingOptions(largest int) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(int32(largestBatch(largest))),
		kgo.MaxBufferedRecords(maxBuffered + 1), // it still counts a record when its promise is through
		kgo.UnknownTopicRetries(-1),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}
}

// largestBatch is how large a batch may get, of records of up to so many bytes: never more than a topic takes of such.
func largestBatch(largest int) int {
	if largest <= LargestMessage {
		return min(largest+64<<10, LargestMessage)
	}
	return min(largest+64<<10, LargestDeadLetter)
}

// maxBuffered is how many records a producer holds before Produce blocks.
const maxBuffered = 10_000

// refuse lets nothing in any more. What is being let in is in before it returns, so that it fails with what was before it.
func (r *kafkaProducer) refuse(err error) {
	r.letting.Lock()
	defer r.letting.Unlock()
	r.refusal = cmp.Or(r.refusal, err)
}

// Produce implements Producer.
func (r *kafkaProducer) Produce(ctx context.Context, record *kgo.Record, promise func(*kgo.Record, error)) {
	if err := r.enter(ctx); err != nil {
		promise(record, err)
		return
	}
	promise, err := r.meet(ctx, record.Topic, promise)
	if err == nil {
		err = r.let(record, promise)
	}
	if err != nil {
		r.leave()
		promise(record, err)
	}
}

// meet waits until the client knows a topic, or ctx has ended. The first who comes goes on; his promise, which is returned, lets
// the others. What the client holds for a topic that it doesn't know it hands on one by one when it does, and a refusal
// of the first of them would not be one of the last.
func (r *kafkaProducer) meet(ctx context.Context, topic string, promise func(*kgo.Record, error)) (func(*kgo.Record, error), error) {
	known, found := r.topics.Load(topic)
	if !found {
		known, found = r.topics.LoadOrStore(topic, make(chan struct{}))
	}
	if !found {
		return func(record *kgo.Record, err error) {
			close(known.(chan struct{}))
			promise(record, err)
		}, nil
	}
	select {
	case <-known.(chan struct{}):
		return promise, nil
	case <-ctx.Done():
		return promise, ctx.Err()
	}
}

func (r *kafkaProducer) let(record *kgo.Record, promise func(*kgo.Record, error)) error {
	r.letting.RLock()
	defer r.letting.RUnlock()
	if r.refusal != nil {
		return r.refusal
	}
	r.Client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
		promise(record, err)
		r.leave()
	})
	return nil
}

// enter waits for room for a record, or until ctx ends.
func (r *kafkaProducer) enter(ctx context.Context) error {
	for r.used.Add(1) > r.limit {
		r.used.Add(-1)
		r.wait(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (r *kafkaProducer) wait(ctx context.Context) {
	wake := context.AfterFunc(ctx, r.wake)
	defer wake()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	for r.used.Load() >= r.limit && ctx.Err() == nil {
		r.freed.Wait()
	}
}

func (r *kafkaProducer) leave() {
	r.used.Add(-1)
	if r.waiting.Load() > 0 { // whoever is about to wait sees the room
		r.wake()
	}
}

func (r *kafkaProducer) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freed.Broadcast()
}
