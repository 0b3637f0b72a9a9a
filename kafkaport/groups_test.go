package kafkaport

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
)

// readers count what the members of a group have read.
type readers struct {
	mu      sync.Mutex
	read    map[string]int
	changed chan struct{}
}

func newReaders() *readers {
	return &readers{read: make(map[string]int), changed: make(chan struct{}, 1)}
}

// poll reads for a member until the context ends, and commits what it has read, which doesn't end with it.
func (r *readers) poll(ctx context.Context, t *testing.T, c *kgo.Client) {
	fetches := c.PollFetches(ctx)
	fetches.EachError(func(topic string, n int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			t.Logf("%s/%d: %v", topic, n, err)
		}
	})
	r.mu.Lock()
	for _, record := range fetches.Records() {
		r.read[string(record.Value)]++
	}
	r.mu.Unlock()
	if err := c.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Logf("commit: %v", err)
	}
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// await waits until so many different values were read, and all is committed.
func (r *readers) await(t *testing.T, n int, committed func() bool) {
	t.Helper()
	end := time.After(time.Minute)
	for {
		r.mu.Lock()
		got := len(r.read)
		r.mu.Unlock()
		if got >= n && committed() {
			return
		}
		select {
		case <-r.changed:
		case <-end:
			t.Fatalf("%d of %d values were read in a minute", got, n)
		}
	}
}

// committed returns what reports whether a group has committed all orders.
func (p *port) committed(group string) func() bool {
	return func() bool {
		offsets := p.journal.Committed(group, journal.Durable)
		for n, end := range p.ends(orders) {
			if offsets[journal.TopicPartition{Topic: orders, Partition: int32(n)}].Offset != end {
				return false
			}
		}
		return true
	}
}

// member returns one of a group that reads the orders.
func (p *port) member(group string, options ...kgo.Opt) *kgo.Client {
	return p.client(append([]kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(orders), kgo.DisableAutoCommit(),
		kgo.HeartbeatInterval(50 * time.Millisecond), kgo.BlockRebalanceOnPoll(), kgo.SessionTimeout(6 * time.Second)}, options...)...)
}

// start polls for a member, which may be rebalanced between two polls, and returns what ends it.
func (r *readers) start(t *testing.T, c *kgo.Client) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			once, done := context.WithTimeout(ctx, 50*time.Millisecond)
			r.poll(once, t, c)
			done()
			c.AllowRebalance()
		}
	}()
	return func() { cancel(); <-ended; c.CloseAllowingRebalance() }
}

// TestAGroupShares what there is, through members that come and go, and a restart of the port.
func TestAGroupShares(t *testing.T) {
	t.Parallel()
	p := open(t, Limits{})
	producer := p.client()
	produced := 0
	more := func() {
		produce(t, producer, orders, numbered(string(rune('a'+produced/300)), 300)...)
		produced += 300
	}
	r := newReaders()
	more()
	stopFirst := r.start(t, p.member("shop", kgo.InstanceID("static")))
	r.await(t, produced, p.committed("shop"))
	stopSecond := r.start(t, p.member("shop"))
	stopThird := r.start(t, p.member("shop"))
	more()
	r.await(t, produced, p.committed("shop"))
	stopSecond()
	more()
	r.await(t, produced, p.committed("shop"))

	p.close()
	p = openOn(t, p.journal, p.address, Limits{})
	more()
	r.await(t, produced, p.committed("shop"))
	stopThird()
	stopFirst()

	// Who goes on where the group was reads nothing again.
	again := newReaders()
	stop := again.start(t, p.member("shop", kgo.InstanceID("static"))) // the others would wait for its session to end
	more()
	again.await(t, 300, p.committed("shop"))
	stop()
	if len(again.read) != 300 {
		t.Errorf("%d values were read after all was committed, 300 are new", len(again.read))
	}
}

func TestCommitsAreRead(t *testing.T) {
	p := open(t, Limits{})
	admin := kadm.NewClient(p.client())
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: orders, Partition: 1, At: 17, Metadata: "here"})
	offsets.Add(kadm.Offset{Topic: single, Partition: 0, At: 3})
	if err := admin.CommitAllOffsets(t.Context(), "shop", offsets); err != nil {
		t.Fatal(err)
	}
	if _, err := p.journal.Commit(ownGroup, map[journal.TopicPartition]journal.Committed{{Topic: orders, Partition: 2}: {Offset: 5}}); err != nil {
		t.Fatal(err)
	}
	if err := p.journal.WaitDurable(t.Context(), p.journal.Appended()); err != nil {
		t.Fatal(err)
	}
	got, err := admin.FetchOffsets(t.Context(), "shop")
	if o, _ := got.Lookup(orders, 1); err != nil || len(got) != 2 || o.At != 17 || o.Metadata != "here" {
		t.Errorf("the commits are %v, %v", got, err)
	}
	many := admin.FetchManyOffsets(t.Context(), "shop", ownGroup, "nobody")
	if own, _ := many[ownGroup].Fetched.Lookup(orders, 2); many.Error() != nil || own.At != 5 || len(many["nobody"].Fetched) != 0 {
		t.Errorf("the commits of three groups are %v, %v", many, many.Error())
	}
	listed, err := admin.ListGroups(t.Context())
	if names := listed.Groups(); err != nil || !slices.Equal(names, []string{ownGroup, "shop"}) {
		t.Errorf("the groups are %v, %v", names, err)
	}
	r := p.raw()
	for version := int16(0); version < 8; version++ {
		q := kmsg.NewPtrOffsetFetchRequest()
		q.Version, q.Group = version, "shop"
		q.Topics = append(q.Topics, kmsg.OffsetFetchRequestTopic{Topic: orders, Partitions: []int32{0, 1, 9}})
		partitions := ask[*kmsg.OffsetFetchResponse](r, q).Topics[0].Partitions
		if partitions[0].Offset != -1 || partitions[1].Offset != 17 || *partitions[1].Metadata != "here" || partitions[2].Offset != -1 {
			t.Errorf("version %d: %+v", version, partitions)
		}
	}
	none := kmsg.NewPtrOffsetFetchRequest()
	none.Version, none.Group, none.Topics = 2, "shop", []kmsg.OffsetFetchRequestTopic{}
	if got := ask[*kmsg.OffsetFetchResponse](r, none).Topics; len(got) != 0 {
		t.Errorf("of no topics, %+v is told", got)
	}
}

func TestWhatGroupsMayNotDo(t *testing.T) {
	p := open(t, Limits{Groups: 2})
	admin := kadm.NewClient(p.client())
	commit := func(group string, o kadm.Offset) error {
		var offsets kadm.Offsets
		offsets.Add(o)
		return admin.CommitAllOffsets(t.Context(), group, offsets)
	}
	good := kadm.Offset{Topic: orders, Partition: 1, At: 17}
	for name, c := range map[string]struct {
		group  string
		offset kadm.Offset
		want   *kerr.Error
	}{
		"a group of Stockflow's":  {ownGroup, good, kerr.GroupAuthorizationFailed},
		"no name":                 {"", good, kerr.InvalidGroupID},
		"a name that is too long": {string(make([]byte, 256)), good, kerr.InvalidGroupID},
		"an unknown topic":        {"shop", kadm.Offset{Topic: "unheard-of"}, kerr.UnknownTopicOrPartition},
		"an unknown partition":    {"shop", kadm.Offset{Topic: orders, Partition: 3}, kerr.UnknownTopicOrPartition},
		"a negative offset":       {"shop", kadm.Offset{Topic: orders, At: -2}, kerr.InvalidRequest},
		"too much to say":         {"shop", kadm.Offset{Topic: orders, Metadata: string(make([]byte, 4097))}, kerr.OffsetMetadataTooLarge},
	} {
		if err := commit(c.group, c.offset); !errors.Is(err, c.want) {
			t.Errorf("a commit, %s: %v, expected %v", name, err, c.want)
		}
	}
	if got := p.journal.Groups(); len(got) != 0 {
		t.Errorf("%v have commits", got)
	}
	for _, group := range []string{"one", "two", "one"} {
		if err := commit(group, good); err != nil {
			t.Errorf("a commit of %s: %v", group, err)
		}
	}
	if err := commit("three", good); !errors.Is(err, kerr.PolicyViolation) {
		t.Errorf("a commit of one group too many: %v", err)
	}
	joins := p.member(ownGroup)
	if err := joins.PollFetches(t.Context()).Err(); !errors.Is(err, kerr.GroupAuthorizationFailed) {
		t.Errorf("joining a group of Stockflow's: %v", err)
	}
	joins.AllowRebalance()
}

func TestGroupsAreDescribed(t *testing.T) {
	p := open(t, Limits{})
	r := newReaders()
	produce(t, p.client(), orders, "one")
	stop := r.start(t, p.member("shop", kgo.ClientID("reader")))
	defer stop()
	r.await(t, 1, p.committed("shop"))
	described, err := kadm.NewClient(p.client()).DescribeGroups(t.Context(), "shop", ownGroup, "nobody")
	shop := described["shop"]
	if err != nil || shop.State != "Stable" || shop.ProtocolType != "consumer" || len(shop.Members) != 1 || shop.Members[0].ClientID != "reader" {
		t.Fatalf("the group is %+v, %v", shop, err)
	}
	if got, ok := shop.Members[0].Assigned.AsConsumer(); !ok || len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 3 {
		t.Errorf("its member reads %+v", got)
	}
	if own := described[ownGroup]; own.State != "Empty" || own.Err != nil {
		t.Errorf("Stockflow's is %+v", own)
	}
	if none := described["nobody"]; none.State != "Dead" || !errors.Is(none.Err, kerr.GroupIDNotFound) {
		t.Errorf("one that isn't is %+v", none)
	}
}
