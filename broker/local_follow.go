package broker

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/journal"
)

// Follow implements Broker.
func (l Local) Follow(from map[string]map[int32]int64) (Follower, error) {
	f := &localFollower{}
	for topic, partitions := range from {
		for n, offset := range partitions {
			p, err := l.partition(topic, n)
			if err != nil {
				return nil, err
			}
			f.cursors = append(f.cursors, localCursor{TopicPartition{topic, n}, p.Follow(offset, l.horizon)})
		}
	}
	return f, nil
}

type localFollower struct {
	cursors []localCursor
	names   headerNames
}

type localCursor struct {
	at     TopicPartition
	cursor *journal.Cursor
}

const (
	// followPace is how long a follower lets records gather: rather a batch a little later than one for each message.
	followPace = 25 * time.Millisecond
	// followBytes is how much is taken of a partition at once.
	followBytes = 1 << 20
)

// Poll takes something of every partition that has something.
func (f *localFollower) Poll(ctx context.Context) ([]Batch, error) {
	for {
		batches, err := f.take()
		if err != nil || len(batches) > 0 {
			return batches, err
		}
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
		if err := pause(ctx, followPace); err != nil {
			return nil, err
		}
	}
}

func (f *localFollower) take() (batches []Batch, err error) {
	for _, c := range f.cursors {
		found, err := c.cursor.Try(followBytes)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", c.at, err)
		}
		if len(found) > 0 {
			batches = append(batches, Batch{c.at, f.recordsOf(c.at, found)})
		}
	}
	return batches, nil
}

func (f *localFollower) recordsOf(at TopicPartition, found []journal.Record) []*kgo.Record {
	all, records := make([]kgo.Record, len(found)), make([]*kgo.Record, len(found))
	count := 0
	for i := range found {
		count += found[i].Headers.Len()
	}
	headers := make([]kgo.RecordHeader, 0, count) // of all records
	for i := range found {
		r, first := &all[i], len(headers)
		r.Topic, r.Partition = at.Topic, at.Partition
		copyTo(r, &found[i])
		headers = f.names.appendHeaders(headers, found[i].Headers)
		r.Headers = headers[first:len(headers):len(headers)]
		records[i] = r
	}
	return records
}

// wait waits until a partition may have something, or ctx ends, whose error it returns.
func (f *localFollower) wait(ctx context.Context) error {
	cases := make([]reflect.SelectCase, 0, 1+len(f.cursors))
	cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())})
	for _, c := range f.cursors {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c.cursor.Wake())})
	}
	reflect.Select(cases)
	return context.Cause(ctx)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (*localFollower) Close() {}
