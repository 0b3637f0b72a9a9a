package broker

import (
	"math"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// copartition assigns partitions as goka's strategy of the same name does: a member has the same partitions of all topics,
// those in a row. All are revoked before any is assigned anew, as a processor begins and ends with a whole session. Members
// keep what they have across restarts: they come in the order of their instance ids.
//
// What a member tells of itself is always the same, so that Kafka gives one that comes back with its id what it had, and
// doesn't share the group out again.
type copartition struct{}

func (copartition) ProtocolName() string { return "copartition" }
func (copartition) IsCooperative() bool  { return false }

func (copartition) JoinGroupMetadata(topics []string, _ map[string][]int32, _ int32) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = topics
	return m.AppendTo(nil)
}

func (copartition) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	return kgo.ParseConsumerSyncAssignment(assignment)
}

func (c copartition) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(c, members)
	return b, b.MemberTopics(), err
}

// Balance implements kgo's balancer.
func (copartition) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	plan := b.NewPlan()
	members := len(b.Members())
	bound := func(n int, of int32) int32 { return int32(math.Floor(float64(n)*float64(of)/float64(members) + 0.5)) }
	for n := range members {
		member, meta := b.MemberAt(n)
		for _, topic := range meta.Topics {
			for p := bound(n, topics[topic]); p < bound(n+1, topics[topic]); p++ {
				plan.AddPartition(member, topic, p)
			}
		}
	}
	return plan
}
