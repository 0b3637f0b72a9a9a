package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Read calls each with the records of a partition from offset from on and before offset to, in order, and returns
// when it has seen the last of them, or at each's first error. Offsets may have gaps.
func Read(ctx context.Context, conn Connection, topic string, partition int32, from, to int64, each func(*kgo.Record) error) error {
	client, err := conn.Client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // they are what a gap at the end consists of
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for next := from; next < to; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return fmt.Errorf("reading %s/%d: %w", topic, partition, errs[0].Err)
		}
		for _, r := range fetches.Records() {
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
