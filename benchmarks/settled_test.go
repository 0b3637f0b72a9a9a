package benchmarks

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// watcher looks at the logs from outside and tells when work is done: the same way for every engine, and at a cost
// that does not depend on how much there is.
type watcher struct {
	conn   broker.Connection
	client *kgo.Client
	admin  *kadm.Client
}

// glance is how often a watcher looks: the resolution of what is measured with it.
const glance = 5 * time.Millisecond

func newWatcher(t testing.TB, conn broker.Connection) *watcher {
	t.Helper()
	client, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &watcher{conn, client, kadm.NewClient(client)}
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
	listed, err := w.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
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
func (w *watcher) last(ctx context.Context, topic string, ends map[int32]int64) (map[int32]*kgo.Record, error) {
	from, missing := map[int32]kgo.Offset{}, 0
	for partition, end := range ends {
		if end > 0 {
			from[partition] = kgo.NewOffset().At(end - 1)
			missing++
		}
	}
	client, err := w.conn.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	last := map[int32]*kgo.Record{}
	for len(last) < missing {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for _, r := range fetches.Records() {
			last[r.Partition] = r
		}
	}
	return last, nil
}

// awaitViews waits until a server's API answers with the last rows of a table, so that its copy of the table has come
// to rest as well. path is where the API has the rows; what the API calls their version is their last message.
func (w *watcher) awaitViews(t testing.TB, url, path, table string, applied func(row []byte) (int64, error)) {
	t.Helper()
	ends, err := w.ends(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	last, err := w.last(t.Context(), table, ends)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range last {
		want, err := applied(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		w.until(t, func(ctx context.Context) (bool, error) {
			have, err := version(ctx, url+path+string(r.Key))
			return have >= want, err
		})
	}
}

// version is that of a row, -1 if the API doesn't have it yet.
func version(ctx context.Context, url string) (int64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	row := struct{ Version int64 }{-1}
	err = json.NewDecoder(a.Body).Decode(&row)
	return row.Version, err
}

// committed is how many messages of a log a group has committed.
func (w *watcher) committed(ctx context.Context, group, log string) (int64, error) {
	offsets, err := w.admin.FetchOffsets(ctx, group)
	var n int64
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == log {
			n += o.At
		}
	})
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
