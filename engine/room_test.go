package engine

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What waits for room when the first error comes is not sent: what it was to follow has failed.
func TestWhatWaitsForRoomIsRefusedAfterAnError(t *testing.T) {
	b := newBench(t, 1)
	r := newRoomy(b.client, 1)
	met, mend := b.refuse(kmsg.Produce, toySink)
	first, second := make(chan error, 1), make(chan error, 1)
	ctx, fail := context.WithCancel(t.Context())
	produce := func(result chan error) {
		r.Produce(ctx, &kgo.Record{Topic: toySink, Value: []byte("x")}, func(_ *kgo.Record, err error) { result <- err })
	}
	produce(first)
	met()
	go produce(second)
	fail()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("what waited came to %v", err)
	}
	mend()
	if err := <-first; err != nil {
		t.Error("what was on its way came to", err)
	}
}

// Room is given to all who wait for it, each once.
func TestRoomIsForAll(t *testing.T) {
	const limit, all = 3, 300
	b := newBench(t, 1)
	r := newRoomy(b.client, limit)
	var wait, sent sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			for range all / 10 {
				sent.Add(1)
				r.Produce(t.Context(), &kgo.Record{Topic: toySink, Value: []byte("x")}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
					if n := b.client.BufferedProduceRecords(); n > limit+1 {
						t.Errorf("%d records are held", n)
					}
					sent.Done()
				})
			}
		})
	}
	wait.Wait()
	sent.Wait()
	must(t, r.enter(t.Context()))
}
