package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Owner is a member of a group that holds a partition. It may be anybody who has joined.
type Owner struct {
	Client string // what the client calls itself
	Host   string
	Member string // its id in the group
}

func (o Owner) String() string {
	return fmt.Sprintf("%s at %s (member %s)", o.Client, o.Host, o.Member)
}

// Owners implements Broker.
func (c Connection) Owners(ctx context.Context, group, log string) (map[TopicPartition]Owner, error) {
	all := map[TopicPartition]Owner{}
	err := c.asking(ctx, func(ctx context.Context, admin *kadm.Client) error {
		members, err := membersOf(ctx, admin, group)
		if err != nil {
			return fmt.Errorf("asking who holds partitions of the group %s: %w", group, err)
		}
		for _, m := range members {
			owner := ownerOf(m)
			assigned, ok := m.Assigned.AsConsumer()
			if !ok {
				continue
			}
			for _, t := range assigned.Topics {
				for _, p := range t.Partitions {
					if t.Topic == log {
						all[TopicPartition{log, p}] = owner
					}
				}
			}
		}
		return nil
	})
	return all, err
}

func ownerOf(m kadm.DescribedGroupMember) Owner {
	return Owner{Client: m.ClientID, Host: strings.TrimPrefix(m.ClientHost, "/"), Member: m.MemberID}
}

// coordinatorPause is how long after an answer that a group has no coordinator yet it is asked again.
const coordinatorPause = 100 * time.Millisecond

// membersOf returns the members of a group, none of one that never was. The first group that anybody asks for on new brokers has
// no coordinator for a moment, which is waited out.
func membersOf(ctx context.Context, admin *kadm.Client, group string) ([]kadm.DescribedGroupMember, error) {
	for {
		groups, err := admin.DescribeGroups(ctx, group)
		if err == nil && !errors.Is(groups[group].Err, kerr.GroupIDNotFound) {
			err = groups[group].Err
		}
		if !errors.Is(err, kerr.CoordinatorNotAvailable) || pause(ctx, coordinatorPause) != nil {
			return groups[group].Members, err
		}
	}
}

// Owners implements Broker: a journal's groups have no members.
func (Local) Owners(context.Context, string, string) (map[TopicPartition]Owner, error) {
	return nil, nil
}
