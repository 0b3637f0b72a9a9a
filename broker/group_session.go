package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// commitPace is how long marks gather before they are committed. What is committed late is met again after a crash, and
// dropped as a repeat.
const commitPace = 500 * time.Millisecond

// groupSession is a session of a group: the partitions that a member has, from their assignment to the end of it. It is the
// same for the journal and for Kafka, but for where a partition is read and how offsets are committed.
type groupSession struct {
	member     string
	generation int32
	claims     map[string][]int32
	// open reads a partition from where the group has committed it, which it returns.
	open   func(TopicPartition) (sarama.PartitionConsumer, int64, error)
	commit func(map[TopicPartition]int64) error // all that is marked

	ctx context.Context
	end context.CancelFunc

	committing sync.Mutex         // held while a commit is under way: a later one must not be overtaken
	mu         sync.Mutex         // guards what follows
	marks      map[string][]int64 // by topic and partition; 0: none
	changed    bool               // marks were not committed yet
	pending    *time.Timer        // commits them soon
}

// newGroupSession returns a session without its context, and without what reads and commits.
func newGroupSession(claims map[string][]int32) *groupSession {
	s := &groupSession{claims: claims, marks: map[string][]int64{}}
	for topic, partitions := range claims {
		if len(partitions) > 0 {
			s.marks[topic] = make([]int64, slices.Max(partitions)+1)
		}
	}
	return s
}

// run has the handler process the session until its context ends or the handler does. It returns when nothing is under way
// any more and what is marked is committed.
func (s *groupSession) run(h sarama.ConsumerGroupHandler) error {
	defer s.end()
	if err := h.Setup(s); err != nil {
		return errors.Join(err, h.Cleanup(s)) // it may have begun with some partitions
	}
	err := s.consume(h)
	if cleanup := h.Cleanup(s); err == nil {
		err = cleanup
	}
	if commit := s.commitMarks(); err == nil {
		err = commit
	}
	return err
}

// consume hands each partition to the handler, and ends the session when one of them ends.
func (s *groupSession) consume(h sarama.ConsumerGroupHandler) error {
	var running sync.WaitGroup
	var once sync.Once
	var failed error
	for topic, partitions := range s.claims {
		for _, n := range partitions {
			at := TopicPartition{topic, n}
			running.Go(func() {
				if err := s.consumeClaim(h, at); err != nil {
					once.Do(func() { failed = err })
				}
				s.end()
			})
		}
	}
	<-s.ctx.Done() // also where there are no partitions
	running.Wait()
	return failed
}

func (s *groupSession) consumeClaim(h sarama.ConsumerGroupHandler, at TopicPartition) error {
	p, from, err := s.open(at)
	if err != nil {
		return err
	}
	claim := claim{p, at, from}
	defer context.AfterFunc(s.ctx, claim.AsyncClose)()
	err = h.ConsumeClaim(s, claim)
	if told := claim.Close(); err == nil {
		err = told
	}
	return err
}

// claim is a partition as a session hands it on.
type claim struct {
	sarama.PartitionConsumer
	at   TopicPartition
	from int64
}

func (c claim) Topic() string        { return c.at.Topic }
func (c claim) Partition() int32     { return c.at.Partition }
func (c claim) InitialOffset() int64 { return c.from }

func (s *groupSession) Claims() map[string][]int32 { return s.claims }
func (s *groupSession) MemberID() string           { return s.member }
func (s *groupSession) GenerationID() int32        { return s.generation }
func (s *groupSession) Context() context.Context   { return s.ctx }

// MarkOffset notes that the messages of a partition before offset are done. Marks rise.
func (s *groupSession) MarkOffset(topic string, partition int32, offset int64, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := &s.marks[topic][partition]
	if offset <= *mark {
		return
	}
	*mark = offset
	s.commitSoon()
}

// commitSoon has the marks committed. The caller holds mu.
func (s *groupSession) commitSoon() {
	if !s.changed {
		s.changed = true
		s.pending = time.AfterFunc(commitPace, s.Commit)
	}
}

// MarkMessage implements sarama's session.
func (s *groupSession) MarkMessage(m *sarama.ConsumerMessage, metadata string) {
	s.MarkOffset(m.Topic, m.Partition, m.Offset+1, metadata)
}

// ResetOffset is never called: what is marked is done.
func (*groupSession) ResetOffset(string, int32, int64, string) {}

// Commit commits the marks. After an error they are committed later, or, when the session ends before, met again.
func (s *groupSession) Commit() { _ = s.commitMarks() }

func (s *groupSession) commitMarks() error {
	s.committing.Lock()
	defer s.committing.Unlock()
	marks := s.take()
	if marks == nil {
		return nil
	}
	err := s.commit(marks)
	if err != nil && s.ctx.Err() == nil { // no later mark may come, and what isn't committed counts as not taken
		s.mu.Lock()
		defer s.mu.Unlock()
		s.commitSoon()
	}
	return err
}

// take returns the marks if there are some that were not committed, else nil.
func (s *groupSession) take() map[TopicPartition]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.changed {
		return nil
	}
	s.pending.Stop()
	s.changed = false
	return s.marked()
}

// marked returns the marks that there are.
func (s *groupSession) marked() map[TopicPartition]int64 {
	all := make(map[TopicPartition]int64)
	for topic, marks := range s.marks {
		for n, offset := range marks {
			if offset > 0 {
				all[TopicPartition{topic, int32(n)}] = offset
			}
		}
	}
	return all
}

// beyond is the error of a group that has taken what its log doesn't have.
func beyond(group string, at TopicPartition, from, end int64) error {
	return fmt.Errorf("group %s has committed offset %d of %s, which ends at %d", group, from, at, end)
}
