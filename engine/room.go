package engine

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// roomy is an outlet on franz-go. It counts what the client holds itself, for the client lets a record that waited
// for room in after an error, too: that record would arrive where those before it, which failed, did not. For the same
// reason it lets nothing in once a broker has refused something for good, of which the client tells only later.
type roomy struct {
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

func newRoomy(conn broker.Connection, limit int, opts ...kgo.Opt) (*roomy, error) {
	r := &roomy{limit: int64(limit)}
	r.freed = sync.NewCond(&r.mu)
	client, err := conn.Producer(r.refuse, opts...)
	r.Client = client
	return r, err
}

// refuse lets nothing in any more. What is being let in is in before it returns, so that it fails with what was before it.
func (r *roomy) refuse(err error) {
	r.letting.Lock()
	defer r.letting.Unlock()
	r.refusal = cmp.Or(r.refusal, err)
}

// Produce implements outlet.
func (r *roomy) Produce(ctx context.Context, record *kgo.Record, promise func(*kgo.Record, error)) {
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
func (r *roomy) meet(ctx context.Context, topic string, promise func(*kgo.Record, error)) (func(*kgo.Record, error), error) {
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

func (r *roomy) let(record *kgo.Record, promise func(*kgo.Record, error)) error {
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
func (r *roomy) enter(ctx context.Context) error {
	for r.used.Add(1) > r.limit {
		r.used.Add(-1)
		r.wait(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (r *roomy) wait(ctx context.Context) {
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

func (r *roomy) leave() {
	r.used.Add(-1)
	if r.waiting.Load() > 0 { // whoever is about to wait sees the room
		r.wake()
	}
}

func (r *roomy) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freed.Broadcast()
}
