package conformance

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

func topicsAreMade(t *testing.T, b *bench) {
	if found, err := b.Outside.Topics(b.ctx, log); err != nil || len(found) > 0 {
		t.Fatalf("before they are made: %v, %v", found, err)
	}
	if _, err := b.Outside.Ends(b.ctx, log); err == nil {
		t.Error("a topic that doesn't exist has an end")
	}
	b.ensure()
	b.ensure()
	found, err := b.Outside.Topics(b.ctx, log, table, "no-topic")
	b.must(err)
	if len(found) != 2 || found[log].Partitions != partitions || found[table].Partitions != partitions || found[log].ID == found[table].ID {
		t.Errorf("there are %v", found)
	}
	starts, err := b.Outside.Starts(b.ctx, log, table)
	b.must(err)
	ends, err := b.Outside.Ends(b.ctx, log, table)
	b.must(err)
	if len(starts) != 2*partitions || !reflect.DeepEqual(starts, ends) {
		t.Errorf("new topics reach from %v to %v", starts, ends)
	}
}

func topicsThatDifferAreTold(t *testing.T, b *bench) {
	b.ensure()
	n, warnings, err := b.Outside.Ensure(b.ctx, topics, partitions+1)
	if err != nil || n != partitions || len(warnings) != 1 || !strings.Contains(warnings[0], "can't be changed") {
		t.Errorf("asked for one more: %d, %q, %v", n, warnings, err)
	}
	states, err := b.Outside.Inspect(b.ctx, append(slices.Clone(topics), broker.Topic{Name: "missing", Kind: broker.Log}), 8)
	b.must(err)
	for i, s := range states {
		if s.Exists != (i < len(topics)) || len(s.Traits) == 0 || s.Traits[0].Should != fmt.Sprint(partitions) || s.Traits[0].Verdict != broker.Fine {
			t.Errorf("%s: %+v", s.Topic.Name, s)
		}
	}
}

func recordsKeepWhatTheyHave(t *testing.T, b *bench) {
	b.ensure()
	w, err := b.Outside.Writer()
	b.must(err)
	defer w.Close()
	want := []kgo.Record{
		{Key: []byte("k"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "", Value: nil}}},
		{Key: nil, Value: nil}, // Kafka takes none without a key to a table
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("large"), Value: make([]byte, 3<<20)},
	}
	for i := range want {
		r := want[i]
		r.Topic = log
		b.must(w.Write(b.ctx, &r))
	}
	i := 0
	b.must(b.Outside.Read(b.ctx, log, 0, 0, int64(len(want)), func(r *kgo.Record) error {
		w := want[i]
		if r.Topic != log || r.Partition != 0 || r.Offset != int64(i) || (r.Value == nil) != (w.Value == nil) || string(r.Value) != string(w.Value) ||
			(r.Key == nil) != (w.Key == nil) || string(r.Key) != string(w.Key) {
			t.Errorf("record %d came back as %s/%d/%d, key %q, %d bytes", i, r.Topic, r.Partition, r.Offset, r.Key, len(r.Value))
		}
		for n, h := range w.Headers {
			if n >= len(r.Headers) || r.Headers[n].Key != h.Key || string(r.Headers[n].Value) != string(h.Value) {
				t.Errorf("record %d: header %d is not %v: %v", i, n, h, r.Headers)
			}
		}
		i++
		return nil
	}))
	if i != len(want) {
		t.Errorf("%d records came back, not %d", i, len(want))
	}
}

func timeNeverGoesBack(t *testing.T, b *bench) {
	b.ensure()
	b.write(log, 0, numbers(20)...)
	last := int64(0)
	b.must(b.Outside.Read(b.ctx, log, 0, 0, 20, func(r *kgo.Record) error {
		at := r.Timestamp.UnixMilli()
		if at < last || at == 0 {
			t.Errorf("offset %d is of %d, the one before it of %d", r.Offset, at, last)
		}
		last = at
		return nil
	}))
}

func aRangeIsRead(t *testing.T, b *bench) {
	b.ensure()
	b.write(log, 1, numbers(10)...)
	for _, c := range []struct {
		from, to int64
	}{{0, 10}, {0, 1}, {9, 10}, {3, 7}, {5, 5}, {7, 3}} {
		want := []string(nil)
		if c.from < c.to {
			want = numbers(10)[c.from:c.to]
		}
		if got := b.read(log, 1, c.from, c.to); !slices.Equal(got, want) {
			t.Errorf("from %d to %d: %v", c.from, c.to, got)
		}
	}
	if b.end(log, 1) != 10 || b.end(log, 0) != 0 {
		t.Errorf("the partitions end at %d and %d", b.end(log, 0), b.end(log, 1))
	}
}

func readingEnds(t *testing.T, b *bench) {
	b.ensure()
	b.write(log, 0, numbers(3)...)
	n := 0
	err := b.Outside.Read(b.ctx, log, 0, 0, 3, func(*kgo.Record) error { n++; return errEnough })
	if !errors.Is(err, errEnough) || n != 1 {
		t.Errorf("after %d records: %v", n, err)
	}
	over, end := context.WithCancel(b.ctx)
	end()
	if err := b.Outside.Read(over, log, 0, 0, 3, func(*kgo.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
}

func aProducerKeepsTheOrder(t *testing.T, b *bench) {
	const each = 500
	b.ensure()
	p, err := b.Inside.Producer(1 << 20)
	b.must(err)
	defer p.Close()
	var mu sync.Mutex
	kept := map[int32][]int64{}
	for i := range each {
		for n := range int32(partitions) {
			p.Produce(b.ctx, &kgo.Record{Topic: log, Partition: n, Value: []byte(fmt.Sprint(i))}, func(r *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				kept[r.Partition] = append(kept[r.Partition], r.Offset)
			})
		}
	}
	b.must(p.Flush(b.ctx))
	for n := range int32(partitions) {
		if got := b.read(log, n, 0, b.end(log, n)); !slices.Equal(got, numbers(each)) {
			t.Errorf("partition %d has %d records, or in another order", n, len(got))
		}
		if len(kept[n]) != each || !slices.IsSorted(kept[n]) || kept[n][each-1] != each-1 {
			t.Errorf("partition %d: the promises were kept with other offsets", n)
		}
	}
}

func aProducerEnds(t *testing.T, b *bench) {
	b.ensure()
	p, err := b.Inside.Producer(1 << 20)
	b.must(err)
	over, end := context.WithCancel(b.ctx)
	end()
	result := make(chan error, 1)
	produce := func(ctx context.Context) error {
		p.Produce(ctx, &kgo.Record{Topic: log, Value: []byte("x")}, func(_ *kgo.Record, err error) { result <- err })
		return <-result
	}
	b.must(produce(b.ctx))
	p.Close()
	if err := produce(over); err == nil {
		t.Error("a producer that is closed takes a record")
	}
}

func aWriterTellsWhere(t *testing.T, b *bench) {
	b.ensure()
	w, err := b.Outside.Writer()
	b.must(err)
	defer w.Close()
	var wait sync.WaitGroup
	var mu sync.Mutex
	at := map[int64]string{}
	for i := range 50 {
		wait.Go(func() {
			r := &kgo.Record{Topic: log, Partition: 2, Value: []byte(fmt.Sprint(i))}
			if err := w.Write(b.ctx, r); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			at[r.Offset] = string(r.Value)
		})
	}
	wait.Wait()
	for offset, value := range b.read(log, 2, 0, 50) {
		if at[int64(offset)] != value {
			t.Errorf("offset %d holds %s, and the writer was told %s", offset, value, at[int64(offset)])
		}
	}
	if waits := w.Waiting(); len(waits) > 0 {
		t.Errorf("it waits for %q", waits)
	}
}

func aFollowerGoesOn(t *testing.T, b *bench) {
	b.ensure()
	b.write(log, 0, numbers(5)...)
	f, err := b.Outside.Follow(map[string]map[int32]int64{log: {0: 3, 1: 0}, other: {2: 0}})
	b.must(err)
	defer f.Close()
	got := map[string][]string{}
	await := func(n int) {
		t.Helper()
		for total := 0; total < n; {
			batches, err := f.Poll(b.ctx)
			b.must(err)
			for _, batch := range batches {
				for _, r := range batch.Records {
					if r.Topic != batch.Topic || r.Partition != batch.Partition {
						t.Errorf("%s/%d in a batch of %s", r.Topic, r.Partition, batch.TopicPartition)
					}
					got[batch.String()] = append(got[batch.String()], string(r.Value))
					total++
				}
			}
		}
	}
	await(2)
	b.write(other, 2, "a", "b")
	b.write(log, 1, "c")
	await(3)
	want := map[string][]string{log + "/0": {"3", "4"}, other + "/2": {"a", "b"}, log + "/1": {"c"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it came to %v", got)
	}
	over, end := context.WithCancel(b.ctx)
	end()
	if _, err := f.Poll(over); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
}
