package broker

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaFollower is a Follower on franz-go.
type kafkaFollower struct{ client *kgo.Client }

// pollRecords is how many records are taken from the client at once.
const pollRecords = 4096

// following are the options of a follower's client. What it has read ahead is in memory, so that is little.
var following = []kgo.Opt{
	kgo.KeepControlRecords(), // they are what a gap at the end consists of
	kgo.FetchMaxBytes(fetchBytes),
	kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
	// A fetch waits at the broker until something comes. Whoever wants more at once than a message polls less often.
	kgo.FetchMinBytes(1),
	kgo.FetchMaxWait(5 * time.Second),
}

// Follow implements Broker. Control records are among what is returned, and have that attribute.
func (c Connection) Follow(from map[string]map[int32]int64) (Follower, error) {
	at := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range from {
		at[topic] = map[int32]kgo.Offset{}
		for p, offset := range partitions {
			at[topic][p] = kgo.NewOffset().At(offset)
		}
	}
	client, err := c.Client(append(following, kgo.ConsumePartitions(at))...)
	if err != nil {
		return nil, err
	}
	return kafkaFollower{client}, nil
}

func (f kafkaFollower) Poll(ctx context.Context) (batches []Batch, err error) {
	fetches := f.client.PollRecords(ctx, pollRecords)
	instead, errs := passUnreadable(f.client, fetches)
	switch {
	case len(errs) > 0 && errs[0].Topic == "": // of no partition
		return nil, cmp.Or(context.Cause(ctx), errs[0].Err)
	case len(errs) > 0:
		return nil, fmt.Errorf("reading %s/%d: %w", errs[0].Topic, errs[0].Partition, errs[0].Err)
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) > 0 {
			batches = append(batches, Batch{TopicPartition{p.Topic, p.Partition}, p.Records})
		}
	})
	for _, r := range instead {
		batches = append(batches, Batch{TopicPartition{r.Topic, r.Partition}, []*kgo.Record{r}})
	}
	return batches, nil
}

func (f kafkaFollower) Close() { f.client.Close() }
