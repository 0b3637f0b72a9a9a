package broker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/stockflowtest/fake"
)

const (
	fleet = "fleet"
	// never is a session that doesn't end while a test runs.
	never = 4 * time.Minute
)

// member is a member of the group fleet, from when it has begun its first session.
type member struct {
	t      *testing.T
	group  sarama.ConsumerGroup
	begun  chan []int32 // its partitions, session by session
	stop   context.CancelFunc
	result chan error
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	m.begun <- slices.Sorted(slices.Values(s.Claims()[sink]))
	return nil
}
func (*member) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (*member) ConsumeClaim(s sarama.ConsumerGroupSession, _ sarama.ConsumerGroupClaim) error {
	<-s.Context().Done()
	return nil
}

// joining has a process of this id join, in sessions one after the other.
func joining(t *testing.T, brokers []string, instance string) *member {
	t.Helper()
	g, err := Connection{Brokers: brokers, Instance: instance, Session: never}.ConsumerGroup("test", fleet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	m := &member{t: t, group: g, begun: make(chan []int32, 100), stop: stop, result: make(chan error, 1)}
	go func() {
		var err error
		for err == nil && ctx.Err() == nil {
			err = g.Consume(ctx, []string{sink}, m)
		}
		m.result <- err
	}()
	t.Cleanup(m.close)
	return m
}

// has waits until the member has these partitions.
func (m *member) has(partitions ...int32) {
	m.t.Helper()
	for {
		select {
		case got := <-m.begun:
			if slices.Equal(got, partitions) {
				return
			}
		case err := <-m.result:
			m.t.Fatalf("it ended with %v", err)
		case <-time.After(soon):
			m.t.Fatalf("the partitions %v never came", partitions)
		}
	}
}

// close ends the member without leaving, as far as the group can see.
func (m *member) close() {
	m.stop()
	if err := m.group.Close(); err != nil {
		m.t.Error(err)
	}
}

func fourPartitions(t *testing.T) *fake.Kafka { return fake.Open(t, kfake.SeedTopics(4, sink)) }

// A process that was killed is known by its id when it comes back, long before its session is over.
func TestAMemberThatComesBackHasItsPartitions(t *testing.T) {
	k := fourPartitions(t)
	first := joining(t, k.Brokers(), "a")
	first.has(0, 1, 2, 3)
	first.close()
	joining(t, k.Brokers(), "a").has(0, 1, 2, 3)
}

// One that has left is not waited for, and one that has not left is.
func TestAMemberLeavesByItsID(t *testing.T) {
	k := fourPartitions(t)
	first := joining(t, k.Brokers(), "a")
	first.has(0, 1, 2, 3)
	first.close()
	conn := Connection{Brokers: k.Brokers(), Instance: "a"}
	if members, err := conn.Members(t.Context(), fleet); err != nil || len(members) != 1 {
		t.Fatalf("before it leaves there are %q, %v", members, err)
	}
	for range 2 { // the second time it has left already
		if err := conn.Leave(t.Context(), fleet); err != nil {
			t.Fatal(err)
		}
	}
	if members, err := conn.Members(t.Context(), fleet); err != nil || len(members) != 0 {
		t.Fatalf("after it has left there are %q, %v", members, err)
	}
	joining(t, k.Brokers(), "b").has(0, 1, 2, 3)
}

// Of two processes with one id the later one is a member, and the other is told so.
func TestAMemberIsTakenThePlaceOf(t *testing.T) {
	k := fourPartitions(t)
	first := joining(t, k.Brokers(), "a")
	first.has(0, 1, 2, 3)
	second := joining(t, k.Brokers(), "a")
	second.has(0, 1, 2, 3)
	third := joining(t, k.Brokers(), "c")
	select {
	case err := <-first.result:
		if !errors.Is(err, ErrFenced) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(soon):
		t.Error("it never heard that another has its place")
	}
	second.has(0, 1)
	third.has(2, 3)
}

// Three members have all partitions between them, in the order of their ids; then the ones that are left have them.
func TestPartitionsAreSharedOut(t *testing.T) {
	k := fourPartitions(t)
	a, b := joining(t, k.Brokers(), "a"), joining(t, k.Brokers(), "b")
	a.has(0, 1)
	b.has(2, 3)
	many := joining(t, k.Brokers(), "c")
	a.has(0)
	b.has(1, 2)
	many.has(3)
	b.close()
	if err := (Connection{Brokers: k.Brokers(), Instance: "b"}).Leave(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	a.has(0, 1)
	many.has(2, 3)
}

// A group whose members are of before, by sarama, and of now is shared out by either: they say the same of themselves.
func TestWhatAMemberSaysOfItself(t *testing.T) {
	var meta kmsg.ConsumerMemberMetadata
	said := copartition{}.JoinGroupMetadata([]string{"logs"}, map[string][]int32{"logs": {1}}, 7)
	if err := meta.ReadFrom(said); err != nil || meta.Version != 0 || !slices.Equal(meta.Topics, []string{"logs"}) || len(meta.OwnedPartitions) > 0 {
		t.Errorf("it says %+v, %v", meta, err)
	}
	if again := (copartition{}).JoinGroupMetadata([]string{"logs"}, nil, 8); !slices.Equal(said, again) {
		t.Error("it says something else the next time, so that the group would be shared out again")
	}
}

// Members of several topics have the same partitions of all, each by exactly one member.
func TestPartitionsGoTogether(t *testing.T) {
	topics := map[string]int32{"logs": 7, "more": 7}
	for n := 1; n <= 9; n++ {
		members := make([]kmsg.JoinGroupResponseMember, n)
		for i := range members {
			members[i].MemberID = string(rune('a' + i))
			members[i].ProtocolMetadata = copartition{}.JoinGroupMetadata([]string{"logs", "more"}, nil, 0)
		}
		balancer, _, err := copartition{}.MemberBalancer(members)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int32]bool{}
		plan, err := balancer.(*kgo.ConsumerBalancer).BalanceOrError(topics)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range plan.IntoSyncAssignment() {
			got, err := kgo.ParseConsumerSyncAssignment(a.MemberAssignment)
			if err != nil || !slices.Equal(got["logs"], got["more"]) {
				t.Errorf("%d members: %s has %v, %v", n, a.MemberID, got, err)
			}
			for _, p := range got["logs"] {
				if seen[p] {
					t.Errorf("%d members: two have partition %d", n, p)
				}
				seen[p] = true
			}
		}
		if len(seen) != 7 {
			t.Errorf("%d members have %d partitions between them", n, len(seen))
		}
	}
}
