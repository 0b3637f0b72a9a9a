package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrFenced says that another process is a member of a group by our id. It is one that was started with a copy of our
// data directory, or this one was taken for dead and started again.
var ErrFenced = errors.New("another process has taken this one's place in the group")

// ConsumerGroup implements Seats. Brokers tell who is in a group by the client's name.
func (c Connection) ConsumerGroup(client, group string) (sarama.ConsumerGroup, error) {
	kept, end, err := c.keep()
	if err != nil {
		return nil, err
	}
	return &kafkaGroup{conn: kept, release: end, group: group, name: client, errors: make(chan error), offers: make(chan *assignment, 1), failed: make(chan error, 1)}, nil
}

// kafkaGroup is a member of a group. Its client is a member and no more: what it is assigned is read by the connection's
// readers, which all groups share.
type kafkaGroup struct {
	conn    Connection
	release func()
	group   string
	name    string           // of its client
	errors  chan error       // nothing is ever told there
	offers  chan *assignment // the newest that no session has taken yet
	failed  chan error       // the first error that the client doesn't mend by itself
	closing sync.Once
	unpaused

	client *kgo.Client // made by the first Consume

	mu      sync.Mutex // guards what follows
	current *assignment
}

// assignment is what a member has between two rebalances.
type assignment struct {
	claims     map[string][]int32
	from       map[TopicPartition]int64 // where the group has committed them
	member     string
	generation int32
	over       context.Context // ends when the partitions are to be given up
	end        context.CancelCauseFunc
	done       chan struct{} // closed when nobody works on them any more
	taken      bool          // a session works on them, or did
}

// errLost ends an assignment that belongs to others already.
var errLost = errors.New("the group has given the partitions to others")

func (g *kafkaGroup) Errors() <-chan error { return g.errors }

// Consume runs one session, from an assignment to the next. It returns nil when that is over or ctx is.
func (g *kafkaGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	if err := g.join(topics); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-g.failed:
			return err
		case a := <-g.offers:
			if g.take(a) {
				return g.work(ctx, a, h)
			}
		}
	}
}

// join makes the client, which joins the group by itself and stays in it until it is closed.
func (g *kafkaGroup) join(topics []string) (err error) {
	if g.client != nil {
		return nil
	}
	session := g.conn.session()
	opts := []kgo.Opt{
		kgo.ClientID(g.name),
		kgo.ConsumerGroup(g.group),
		kgo.ConsumeTopics(topics...),
		kgo.Balancers(copartition{}),
		kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(min(session/4, 3*time.Second)),
		kgo.RebalanceTimeout(2 * session),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(g.assigned),
		kgo.AdjustFetchOffsetsFn(g.located),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { g.giveUp(nil) }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { g.giveUp(errLost) }),
	}
	if g.conn.Instance != "" {
		opts = append(opts, kgo.InstanceID(g.conn.Instance))
	}
	if g.client, err = g.conn.Client(opts...); err != nil {
		return err
	}
	go g.listen()
	return nil
}

// session is how long a member of a group may be silent.
func (c Connection) session() time.Duration {
	if c.Session == 0 {
		return defaultSession()
	}
	return c.Session
}

// assigned is told by the client what the group has given us. Where we have committed it comes next, unless it is nothing.
func (g *kafkaGroup) assigned(_ context.Context, client *kgo.Client, claims map[string][]int32) {
	a := &assignment{claims: claims, from: map[TopicPartition]int64{}, done: make(chan struct{})}
	a.member, a.generation = client.GroupMetadata()
	a.over, a.end = context.WithCancelCause(context.Background())
	g.mu.Lock()
	g.current = a
	g.mu.Unlock()
	if len(claims) == 0 {
		g.offer(a)
	}
}

// located is told by the client where the group has committed our partitions. The client itself reads none of them.
func (g *kafkaGroup) located(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	g.mu.Lock()
	a := g.current
	g.mu.Unlock()
	for topic, partitions := range a.claims {
		for _, n := range partitions {
			offset, known := offsets[topic][n]
			if !known {
				return nil, fmt.Errorf("the group %s doesn't say what it has committed of %s/%d", g.group, topic, n)
			}
			if at := offset.EpochOffset().Offset; at >= 0 {
				a.from[TopicPartition{topic, n}] = at
			}
		}
	}
	g.offer(a)
	return nil, nil
}

// offer shows an assignment to who consumes.
func (g *kafkaGroup) offer(a *assignment) {
	select {
	case <-g.offers: // one that is over, or the same
	default:
	}
	g.offers <- a
}

// take reports whether an assignment is still ours to work on.
func (g *kafkaGroup) take(a *assignment) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a.taken = a.over.Err() == nil
	return a.taken
}

// giveUp ends the assignment, and returns when nobody works on it.
func (g *kafkaGroup) giveUp(why error) {
	g.mu.Lock()
	a := g.current
	g.current = nil
	if a == nil {
		g.mu.Unlock()
		return
	}
	a.end(why)
	taken := a.taken
	g.mu.Unlock()
	if taken {
		<-a.done
	}
}

// work runs the session of an assignment.
func (g *kafkaGroup) work(ctx context.Context, a *assignment, h sarama.ConsumerGroupHandler) error {
	defer close(a.done)
	s := newGroupSession(a.claims)
	s.member, s.generation = a.member, a.generation
	s.ctx, s.end = context.WithCancel(ctx)
	defer context.AfterFunc(a.over, s.end)()
	s.open = func(at TopicPartition) (sarama.PartitionConsumer, int64, error) { return g.open(s, a, at) }
	s.commit = func(marks map[TopicPartition]int64) error { return g.commit(a, marks) }
	err := s.run(h)
	if err == nil && ctx.Err() == nil && a.over.Err() == nil {
		g.client.ForceRebalance() // the handler has ended, and may have the partitions again
	}
	return err
}

// open reads a partition from where the group has committed it, or from its start.
func (g *kafkaGroup) open(s *groupSession, a *assignment, at TopicPartition) (sarama.PartitionConsumer, int64, error) {
	from, known := a.from[at]
	if !known {
		var err error
		if from, err = (kafkaTopics{conn: g.conn}).GetOffset(at.Topic, at.Partition, sarama.OffsetOldest); err != nil {
			return nil, 0, err
		}
	}
	p, err := g.conn.consume(at, from, true, s.end)
	if err != nil {
		return nil, 0, err
	}
	return p, from, nil
}

// committing is how long a commit may take. It is tried again for as long.
const committing = 5 * time.Second

// commit commits as the member of that generation. So what comes late is refused by the group, and isn't needed: whoever has
// the partitions meets the messages again.
func (g *kafkaGroup) commit(a *assignment, marks map[TopicPartition]int64) error {
	if errors.Is(context.Cause(a.over), errLost) {
		return nil
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for p, offset := range marks {
		if offsets[p.Topic] == nil {
			offsets[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	ctx, cancel := context.WithTimeout(context.Background(), committing)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(request *kmsg.OffsetCommitRequest) error {
		request.MemberID, request.Generation = a.member, a.generation
		return nil
	})
	var wrong error
	g.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
		wrong = commitError(answer, err)
	})
	if wrong != nil {
		return fmt.Errorf("committing for the group %s: %w", g.group, wrong)
	}
	return nil
}

// commitError is the first error of an answer.
func commitError(answer *kmsg.OffsetCommitResponse, err error) error {
	if err != nil {
		return err
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: %w", p.Partition, err)
			}
		}
	}
	return nil
}

// listen takes the client's errors until it is closed. It has nothing else to tell.
func (g *kafkaGroup) listen() {
	for {
		fetches := g.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		for _, e := range fetches.Errors() {
			g.tell(e.Err)
		}
	}
}

// tell ends Consume at an error that the client doesn't mend by joining again.
func (g *kafkaGroup) tell(err error) {
	switch {
	case errors.Is(err, kerr.FencedInstanceID):
		err = fmt.Errorf("group %s: %w: %w", g.group, ErrFenced, err)
	case rejoins(err):
		return
	default:
		err = fmt.Errorf("group %s: %w", g.group, err)
	}
	select {
	case g.failed <- err:
	default: // one is enough
	}
}

// rejoins reports whether joining again mends an error: that a member was silent for too long, or that nobody coordinates the
// group at the moment.
func rejoins(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.RebalanceInProgress) ||
		errors.Is(err, kerr.MemberIDRequired) || kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Close leaves the group, unless it knows us by an id: then it waits for us to come back, and Leave says that we won't.
func (g *kafkaGroup) Close() error {
	g.closing.Do(func() {
		if g.client != nil {
			g.client.Close()
		}
		g.release()
		close(g.errors)
	})
	return nil
}

// Leave implements Seats.
func (c Connection) Leave(ctx context.Context, group string) error {
	if c.Instance == "" { // the member has left when it was closed
		return nil
	}
	return c.asking(ctx, func(ctx context.Context, admin *kadm.Client) error {
		left, err := admin.LeaveGroup(ctx, kadm.LeaveGroup(group).Reason("stopped").InstanceIDs(c.Instance))
		if err == nil && !errors.Is(left[c.Instance].Err, kerr.UnknownMemberID) { // it has never been there
			err = left[c.Instance].Err
		}
		if err != nil {
			return fmt.Errorf("leaving the group %s: %w", group, err)
		}
		return nil
	})
}
