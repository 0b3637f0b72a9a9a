package cli

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/views"
)

// quiet finds out when everything has followed from what was done. It reads the logs itself, and waits for the rows
// of their messages, until there is nothing more to read. That is sound because a row that is durable has all its
// outputs in their logs: when the rows have taken in all that was in the logs, and the logs have no more, then
// nothing is under way.
type quiet struct {
	server *Server
	read   map[broker.TopicPartition]int64 // how far
}

var logs = []string{processors.OrderEvents, processors.InventoryEvents, processors.ShipmentEvents}

func newQuiet(t *testing.T, server *Server) *quiet {
	t.Helper()
	return &quiet{server, map[broker.TopicPartition]int64{}}
}

// wait returns when nothing is under way and the views have it all. Nobody may write meanwhile.
func (q *quiet) wait(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	for more := true; more; {
		ends, err := q.server.Broker().Ends(ctx, logs...)
		must(t, err)
		more = false
		for at, end := range ends {
			if q.read[at] == end {
				continue
			}
			more = true
			if err := q.readTo(ctx, at, end); err != nil {
				t.Fatal("nothing came to rest: ", err)
			}
		}
	}
}

// readTo reads the messages of a partition before end, and waits until each is in its row.
func (q *quiet) readTo(ctx context.Context, at broker.TopicPartition, end int64) error {
	err := q.server.Broker().Read(ctx, at.Topic, at.Partition, q.read[at], end, func(r *kgo.Record) error {
		if err := q.await(ctx, r); err != nil {
			return fmt.Errorf("the message %s/%d of %q is not in its row: %w", at, r.Offset, r.Key, err)
		}
		return nil
	})
	q.read[at] = end
	return err
}

func (q *quiet) await(ctx context.Context, r *kgo.Record) error {
	switch r.Topic {
	case processors.OrderEvents:
		return await(ctx, q.server.tables.Orders, r)
	case processors.InventoryEvents:
		return await(ctx, q.server.tables.Inventory, r)
	}
	return await(ctx, q.server.tables.Shipments, r)
}

// await returns when the row of a message has taken it in, or has dropped it as one that it had before.
func await[S any](ctx context.Context, table *views.Table[S], r *kgo.Record) error {
	takenIn := func(row views.Row[S]) bool {
		return row.Found && (row.Head.Applied >= r.Offset || hadBefore(row.Head, r))
	}
	if row, err := table.Get(string(r.Key)); err != nil || takenIn(row) {
		return err
	}
	watch, err := table.Watch(string(r.Key)) // before the second look, so that no change falls between them
	if err != nil {
		return err
	}
	defer watch.Close()
	if row, err := table.Get(string(r.Key)); err != nil || takenIn(row) {
		return err
	}
	_, err = watch.Until(ctx, takenIn)
	return err
}

// hadBefore reports whether a row has seen the origin of a message. A message that was sent twice by a machine that
// was killed is dropped the second time, and leaves no other trace.
func hadBefore(head codecs.Head, r *kgo.Record) bool {
	at := slices.IndexFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == codecs.HeaderOrigin })
	if at < 0 {
		return false
	}
	o, err := codecs.ParseOrigin(r.Headers[at].Value)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(head.Seen, func(s codecs.Origin) bool {
		return s.Log == o.Log && s.Partition == o.Partition &&
			(s.Offset > o.Offset || s.Offset == o.Offset && s.Index >= o.Index)
	})
}
