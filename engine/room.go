package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// roomy is an outlet on franz-go. It counts what the client holds itself, for the client lets a record that waited
// for room in after an error, too: that record would arrive where those before it, which failed, did not.
type roomy struct {
	*kgo.Client
	limit int64
	used  atomic.Int64

	waiting atomic.Int32 // of those in wait
	mu      sync.Mutex
	freed   *sync.Cond
}

func newRoomy(c *kgo.Client, limit int) *roomy {
	r := &roomy{Client: c, limit: int64(limit)}
	r.freed = sync.NewCond(&r.mu)
	return r
}

// Produce implements outlet.
func (r *roomy) Produce(ctx context.Context, record *kgo.Record, promise func(*kgo.Record, error)) {
	if err := r.enter(ctx); err != nil {
		promise(record, err)
		return
	}
	r.Client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
		promise(record, err)
		r.leave()
	})
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
