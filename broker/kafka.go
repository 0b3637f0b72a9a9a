package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// This file is Connection as a Broker.

var _ Broker = Connection{}

// listing is how long brokers may take to list something.
const listing = 10 * time.Second

// Sync implements Broker.
func (Connection) Sync(context.Context) error { return nil }

// asking runs f with the client that is kept, or else with one that ends with it.
func (c Connection) asking(ctx context.Context, f func(context.Context, *kadm.Client) error) error {
	kept, end, err := c.keep()
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, listing)
	defer cancel()
	return f(ctx, kadm.NewClient(kept.kept.client))
}

// Topics implements Broker.
func (c Connection) Topics(ctx context.Context, names ...string) (map[string]TopicDetail, error) {
	all := map[string]TopicDetail{}
	err := c.asking(ctx, func(ctx context.Context, admin *kadm.Client) error {
		found, err := admin.ListTopics(ctx, names...)
		if err != nil {
			return fmt.Errorf("listing topics: %w", err)
		}
		for name, d := range found {
			switch {
			case d.Err == nil:
				all[name] = TopicDetail{ID: d.ID.String(), Partitions: int32(len(d.Partitions))}
			case !errors.Is(d.Err, kerr.UnknownTopicOrPartition):
				return fmt.Errorf("looking for topic %s: %w", name, d.Err)
			}
		}
		return nil
	})
	return all, err
}

// Starts implements Broker.
func (c Connection) Starts(ctx context.Context, topics ...string) (map[TopicPartition]int64, error) {
	return c.offsets(ctx, topics, "begin", (*kadm.Client).ListStartOffsets)
}

// Ends implements Broker.
func (c Connection) Ends(ctx context.Context, topics ...string) (map[TopicPartition]int64, error) {
	return c.offsets(ctx, topics, "end", (*kadm.Client).ListCommittedOffsets)
}

func (c Connection) offsets(ctx context.Context, topics []string, what string,
	list func(*kadm.Client, context.Context, ...string) (kadm.ListedOffsets, error)) (map[TopicPartition]int64, error) {
	found := map[TopicPartition]int64{}
	if len(topics) == 0 { // to list the offsets of no topics would list those of all
		return found, nil
	}
	err := c.asking(ctx, func(ctx context.Context, admin *kadm.Client) error {
		listed, err := list(admin, ctx, topics...)
		listed.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				found[TopicPartition{o.Topic, o.Partition}] = o.Offset
			}
		})
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return fmt.Errorf("asking where %v %s: %w", topics, what, err)
		}
		return nil
	})
	return found, err
}

// Passes reports whether an error is one of those that an election or the loss of a broker brings, and ends. A topic that
// isn't there may have been deleted.
func Passes(err error) bool {
	return !errors.Is(err, kerr.UnknownTopicOrPartition) && (kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err))
}

// Committed implements Broker.
func (c Connection) Committed(ctx context.Context, group string) (map[TopicPartition]int64, error) {
	all := map[TopicPartition]int64{}
	err := c.asking(ctx, func(ctx context.Context, admin *kadm.Client) error {
		offsets, err := admin.FetchOffsets(ctx, group)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that never was has committed nothing
			return fmt.Errorf("asking what the group %s has committed: %w", group, err)
		}
		var wrong error
		offsets.Each(func(o kadm.OffsetResponse) {
			if o.Err != nil { // not the same as none
				wrong = errors.Join(wrong, fmt.Errorf("asking what the group %s has committed of %s/%d: %w", group, o.Topic, o.Partition, o.Err))
				return
			}
			all[TopicPartition{o.Topic, o.Partition}] = o.At
		})
		return wrong
	})
	return all, err
}

// Commit implements Broker.
func (c Connection) Commit(ctx context.Context, group string, offsets map[TopicPartition]int64) error {
	var all kadm.Offsets
	for p, at := range offsets {
		all.AddOffset(p.Topic, p.Partition, at, -1)
	}
	return c.asking(ctx, func(ctx context.Context, admin *kadm.Client) error {
		answer, err := admin.CommitOffsets(ctx, group, all)
		if err == nil {
			err = answer.Error()
		}
		if err != nil {
			return fmt.Errorf("setting the offsets of the group %s: %w", group, err)
		}
		return nil
	})
}

// Lag implements Broker. It counts what may not be read yet, too.
func (c Connection) Lag(ctx context.Context, group, log string) (map[TopicPartition]int64, error) {
	lags, err := c.offsets(ctx, []string{log}, "end", (*kadm.Client).ListEndOffsets)
	if err != nil {
		return nil, err
	}
	committed, err := c.Committed(ctx, group)
	for p := range lags {
		lags[p] -= committed[p]
	}
	return lags, err
}

// Members implements Broker.
func (c Connection) Members(ctx context.Context, group string) (members []string, err error) {
	err = c.asking(ctx, func(ctx context.Context, admin *kadm.Client) error {
		found, err := membersOf(ctx, admin, group)
		if err != nil {
			return fmt.Errorf("asking for the members of %s: %w", group, err)
		}
		for _, member := range found {
			o := ownerOf(member)
			members = append(members, fmt.Sprintf("%s at %s", o.Client, o.Host))
		}
		return nil
	})
	return members, err
}

// made is what TopicOffsets makes, which is nothing.
type made struct{}

func (made) EnsureTableExists(string, int) error                         { return nil }
func (made) EnsureStreamExists(string, int) error                        { return nil }
func (made) EnsureTopicExists(string, int, int, map[string]string) error { return nil }
