package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
)

// idleCheck is how often an idle partition's changelog is looked at for records of others.
const idleCheck = 5 * time.Second

// repair writes the row of key again, as the last record of the key in the changelog is an older one. The store
// stays pinned by the caller until the changelog has it.
func (l *worker) repair(key string) error {
	if l.flaws.noRepair {
		l.unpin(nil)
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[key] != nil {
		l.waiting[key].done = append(l.waiting[key].done, l.unpin)
		return nil
	}
	return l.again(key)
}

// again queues the row of key as it is now. The caller holds mu.
func (l *worker) again(key string) error {
	value, err := l.store.Get(key)
	if err != nil {
		return err
	}
	err = l.enqueue(&held{key: key, set: l.store.current(key), value: value, done: []func(error){l.unpin}})
	l.wake.Broadcast()
	return err
}

// adopt makes a row of somebody else's ours, which is older or not there. If it is older, it may lie behind theirs in the
// changelog, or be on its way there: then theirs is written again, behind it. What is on its way must not become the row
// again by its acknowledgement.
func (l *worker) adopt(key string, theirs []byte, older bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store.Adopt(key, theirs)
	if !older || l.flaws.noRepair {
		return nil
	}
	for h := range l.sent {
		h.outdated = h.outdated || h.key == key
	}
	for _, h := range l.queue {
		h.outdated = h.outdated || h.key == key
	}
	l.store.Pin()
	return l.again(key)
}

// unpin ends a repair. A failed one leaves the store pinned: it is about to be closed.
func (l *worker) unpin(err error) {
	if err == nil {
		l.store.Unpin()
	}
}

// meet looks at a changelog record that somebody else wrote. If it is newer than our row, we adopt it: its outputs
// are acknowledged, for its writer followed the same rules. If ours is newer, ours is written again. No message is
// folded meanwhile: what is folded into the row before would take the place of the one that was adopted.
func (l *worker) meet(key string, value []byte) error {
	l.folding.Lock()
	defer l.folding.Unlock()
	ours, err := l.store.Get(key)
	if err != nil {
		return err
	}
	var head codecs.Head
	if ours != nil {
		if head, err = codecs.DecodeHead(ours); err != nil {
			return fmt.Errorf("the row of %q in the store does not decode: %w", key, err)
		}
	}
	theirs, err := codecs.DecodeHead(value)
	switch {
	case (err != nil || value == nil) && ours == nil:
		return nil // nothing of ours is hidden by it; a reader names it
	case err != nil || value == nil || (ours != nil && head.Newer(theirs)):
		l.store.Pin()
		return l.repair(key)
	case ours == nil || theirs.Newer(head):
		return l.adopt(key, value, ours != nil)
	case l.store.current(key) != nil: // the same, but what lies behind theirs may be an older one of ours
		l.store.Pin()
		return l.repair(key)
	}
	return nil
}

// readForeign reads the changelog records [from, to) of a worker, and unpins its store when they are dealt with.
func (i *instance) readForeign(ctx context.Context, l *worker, from, to int64) error {
	i.log.Warn("records in the changelog that another instance wrote", "topic", i.table, "partition", l.partition, "offset", from, "records", to-from)
	err := i.conn.Read(ctx, i.table, l.partition, from, to, func(r *kgo.Record) error {
		i.metrics.foreign.Inc()
		return l.meet(string(r.Key), r.Value)
	})
	if err != nil {
		return fmt.Errorf("reading %s/%d from offset %d to %d: %w", i.table, l.partition, from, to, err)
	}
	l.store.Unpin()
	return nil
}

// watchIdle looks for records of others while nothing of ours is under way, until ctx ends.
func (i *instance) watchIdle(ctx context.Context) {
	tick := time.NewTicker(idleCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ends, err := i.ends.fetch(ctx, i.table)
		if err != nil {
			continue // the broker is away; what it has is looked at when it is back
		}
		for _, l := range i.owned() {
			l.moved(ends[source{i.table, l.partition}])
		}
	}
}
