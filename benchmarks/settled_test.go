package benchmarks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// watcher looks at the logs from outside and tells when work is done: the same way for every engine, and at a cost
// that does not depend on how much there is.
type watcher struct {
	broker broker.Broker
}

// glance is how often a watcher looks: the resolution of what is measured with it.
const glance = 5 * time.Millisecond

func newWatcher(t testing.TB, b broker.Broker) *watcher {
	t.Helper()
	kept, end, err := b.Keep()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return &watcher{kept}
}

// until looks again and again, until done or the benchmark ends.
func (w *watcher) until(t testing.TB, done func(context.Context) (bool, error)) {
	t.Helper()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for range tick.C {
		ok, err := done(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return
		}
	}
}

// length is how many records a log holds.
func (w *watcher) length(ctx context.Context, log string) (int64, error) {
	ends, err := w.ends(ctx, log)
	var n int64
	for _, end := range ends {
		n += end
	}
	return n, err
}

func (w *watcher) ends(ctx context.Context, topic string) (map[int32]int64, error) {
	found, err := w.broker.Ends(ctx, topic)
	ends := map[int32]int64{}
	for at, end := range found {
		ends[at.Partition] = end
	}
	return ends, err
}

// takenIn reports whether a table has taken in all of its log: whether the last row written in each partition is
// that of the partition's last message. Rows are written in the order of their messages, so all others are there then.
func (w *watcher) takenIn(ctx context.Context, log, table string, applied func(row []byte) (int64, error)) (bool, error) {
	ends, err := w.ends(ctx, log)
	if err != nil {
		return false, err
	}
	rows, err := w.ends(ctx, table)
	if err != nil {
		return false, err
	}
	for partition, end := range ends {
		if end > 0 && rows[partition] == 0 {
			return false, nil
		}
	}
	last, err := w.last(ctx, table, rows)
	if err != nil {
		return false, err
	}
	for partition, row := range last {
		at, err := applied(row.Value)
		if err != nil || at != ends[partition]-1 {
			return false, err
		}
	}
	return true, nil
}

// last reads the last record of each partition that has one.
func (w *watcher) last(ctx context.Context, topic string, ends map[int32]int64) (map[int32]kgo.Record, error) {
	last := map[int32]kgo.Record{}
	for partition, end := range ends {
		err := w.broker.Read(ctx, topic, partition, end-1, end, func(r *kgo.Record) error {
			last[partition] = *r
			return nil
		})
		if end > 0 && err != nil {
			return nil, err
		}
	}
	return last, nil
}

// committed is how many messages of a log a group has committed.
func (w *watcher) committed(ctx context.Context, group, log string) (int64, error) {
	offsets, err := w.broker.Committed(ctx, group)
	var n int64
	for at, offset := range offsets {
		if at.Topic == log {
			n += offset
		}
	}
	return n, err
}

// appliedOf makes a decoder of rows say which message a row took in last.
func appliedOf[S any](decode func([]byte) (codecs.Head, S, error)) func([]byte) (int64, error) {
	return func(row []byte) (int64, error) {
		head, _, err := decode(row)
		if err != nil {
			return 0, fmt.Errorf("a row: %w", err)
		}
		return head.Applied, nil
	}
}
