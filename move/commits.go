package move

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"

	"stockflow/broker"
	"stockflow/journal"
)

// commits are what a group has committed of logs. Offsets of tables are others on Kafka, so a group of somebody else's that reads
// one begins anew there.
func (r *run) commits(group string) (all kadm.Offsets, left int) {
	for p, c := range r.From.Committed(group, journal.Durable) {
		if r.isTable(p.Topic) {
			left++
			continue
		}
		all.Add(kadm.Offset{Topic: p.Topic, Partition: p.Partition, At: c.Offset, LeaderEpoch: -1, Metadata: c.Metadata})
	}
	return all, left
}

func (r *run) isTable(name string) bool {
	for _, t := range r.Topics {
		if t.Name == name {
			return t.Kind == broker.Table
		}
	}
	return false
}

// commit commits on Kafka what the groups have committed in the journal.
func (r *run) commit(ctx context.Context) error {
	client, err := r.To.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for _, group := range r.From.Groups() {
		offsets, left := r.commits(group)
		if left > 0 {
			r.Log.Warn("a group begins anew in tables, whose offsets are others on Kafka", "group", group, "partitions", left)
		}
		if len(offsets) == 0 {
			continue
		}
		answer, err := admin.CommitOffsets(ctx, group, offsets)
		if err == nil {
			err = answer.Error()
		}
		if err != nil {
			return fmt.Errorf("committing the offsets of group %s: %w", group, err)
		}
	}
	return nil
}

// compareCommits holds what was committed against the journal.
func (r *run) compareCommits(ctx context.Context) error {
	for _, group := range r.From.Groups() {
		committed, err := r.To.Committed(ctx, group)
		if err != nil {
			return err
		}
		offsets, _ := r.commits(group)
		for _, want := range offsets.Sorted() {
			got, known := committed[broker.TopicPartition{Topic: want.Topic, Partition: want.Partition}]
			if !known || got != want.At {
				return fmt.Errorf("group %s has committed %d of %s/%d, and in the journal %d", group, got, want.Topic, want.Partition, want.At)
			}
		}
	}
	return nil
}
