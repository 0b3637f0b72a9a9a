package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// readQuiet is how long a reader waits for a record before it asks whether the broker is still there.
	readQuiet = 5 * time.Second
	// readAnswer is how long the broker may take to say so.
	readAnswer = 20 * time.Second
)

// Read implements Broker. A client by itself would wait for a broker that is gone for ever.
func (c Connection) Read(ctx context.Context, topic string, partition int32, from, to int64, each func(*kgo.Record) error) error {
	if from >= to {
		return nil
	}
	client, err := c.Client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // they are what a gap at the end consists of
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for next := from; next < to; {
		fetches, err := poll(ctx, client)
		if err != nil {
			return fmt.Errorf("reading %s/%d: %w", topic, partition, err)
		}
		instead, errs := passUnreadable(client, fetches)
		for _, e := range errs {
			if !errors.Is(e.Err, context.DeadlineExceeded) { // which is the end of the wait, and not ctx's
				return fmt.Errorf("reading %s/%d: %w", topic, partition, e.Err)
			}
		}
		for _, r := range append(fetches.Records(), instead...) {
			next = r.Offset + 1
			if r.Offset >= to || r.Attrs.IsControl() {
				continue
			}
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// poll returns what there is, or after a while nothing. An error is that of ctx, or says that no broker answers.
func poll(ctx context.Context, client *kgo.Client) (kgo.Fetches, error) {
	waiting, cancel := context.WithTimeout(ctx, readQuiet)
	defer cancel()
	fetches := client.PollFetches(waiting)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case waiting.Err() == nil || fetches.NumRecords() > 0:
		return fetches, nil
	}
	asking, cancel := context.WithTimeout(ctx, readAnswer)
	defer cancel()
	if err := client.Ping(asking); err != nil {
		return nil, fmt.Errorf("no broker answers: %w", err)
	}
	return nil, nil
}
