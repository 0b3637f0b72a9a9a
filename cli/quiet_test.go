package cli

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

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
	client *kgo.Client
	admin  *kadm.Client
	read   map[string]map[int32]int64 // how far, by log and partition
}

var logs = []string{processors.OrderEvents, processors.InventoryEvents, processors.ShipmentEvents}

func newQuiet(t *testing.T, server *Server) *quiet {
	t.Helper()
	client, err := server.conn.Client(
		kgo.ConsumeTopics(logs...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(200*time.Millisecond), // a fetch in the way of other requests is soon gone
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	q := &quiet{server: server, client: client, admin: kadm.NewClient(client), read: map[string]map[int32]int64{}}
	for _, log := range logs {
		q.read[log] = map[int32]int64{}
	}
	return q
}

// wait returns when nothing is under way and the views have it all. Nobody may write meanwhile.
func (q *quiet) wait(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	for {
		ends, err := q.admin.ListEndOffsets(ctx, logs...)
		if err != nil || ends.Error() != nil {
			t.Fatal(err, ends.Error())
		}
		if !q.behind(ends) {
			return
		}
		for q.behind(ends) {
			if err := q.follow(ctx); err != nil {
				t.Fatal("nothing came to rest: ", err)
			}
		}
	}
}

// behind reports whether there is something to read.
func (q *quiet) behind(ends kadm.ListedOffsets) bool {
	behind := false
	ends.Each(func(end kadm.ListedOffset) { behind = behind || q.read[end.Topic][end.Partition] < end.Offset })
	return behind
}

// follow reads some messages, and waits until each is in its row.
func (q *quiet) follow(ctx context.Context) error {
	fetches := q.client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return err
	}
	for _, r := range fetches.Records() {
		if err := q.await(ctx, r); err != nil {
			return fmt.Errorf("the message %s/%d/%d of %q is not in its row: %w", r.Topic, r.Partition, r.Offset, r.Key, err)
		}
		q.read[r.Topic][r.Partition] = r.Offset + 1
	}
	return nil
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
