package stockflowtest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// foreigner is what it calls itself.
const foreigner = "foreigner"

// Foreigner joins one of Stockflow's groups before anybody else does, and shares the log out: it takes all partitions, leaves none
// for those who come later, and processes nothing. It returns when it has them. It leaves with the test, or when leave is called.
func Foreigner(t testing.TB, brokers []string, group, log string) (leave func()) {
	t.Helper()
	held := make(chan struct{})
	hold := sync.OnceFunc(func() { close(held) })
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ClientID(foreigner),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(log), kgo.Balancers(greedy{kgo.RangeBalancer()}), kgo.DisableAutoCommit(),
		kgo.HeartbeatInterval(100*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, all map[string][]int32) {
			if len(all[log]) > 0 {
				hold()
			}
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	leave = sync.OnceFunc(client.Close)
	t.Cleanup(leave)
	select {
	case <-held:
	case <-time.After(time.Minute):
		t.Fatalf("after a minute the foreigner has nothing of %s", log)
	}
	return leave
}

// greedy is the protocol of Stockflow's groups, as the foreigner that leads one understands it.
type greedy struct{ kgo.GroupBalancer }

func (greedy) ProtocolName() string { return "copartition" }

func (g greedy) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	_, topics, err := g.GroupBalancer.MemberBalancer(members)
	return everythingForMe(members), topics, err
}

type everythingForMe []kmsg.JoinGroupResponseMember

func (e everythingForMe) Balance(topics map[string]int32) kgo.IntoSyncAssignment {
	var all plan
	for _, m := range e {
		var assigned kmsg.ConsumerMemberAssignment
		for topic, n := range topics {
			if !strings.HasPrefix(m.MemberID, foreigner) {
				break
			}
			t := kmsg.ConsumerMemberAssignmentTopic{Topic: topic}
			for p := range n {
				t.Partitions = append(t.Partitions, p)
			}
			assigned.Topics = append(assigned.Topics, t)
		}
		all = append(all, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.MemberID, MemberAssignment: assigned.AppendTo(nil)})
	}
	return all
}

type plan []kmsg.SyncGroupRequestGroupAssignment

func (p plan) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment { return p }
