package deadletters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/processors"
	"stockflow/views"
)

// NotNext says that a message is not the one that its partition takes next, so that the partition has not stopped at it.
type NotNext struct {
	Message views.DeadLetterID
	Next    int64 // the offset of the one that is next, -1 if there is none
}

func (n *NotNext) Error() string {
	partition := fmt.Sprintf("%s/%d", n.Message.Topic, n.Message.Partition)
	if n.Next < 0 {
		return fmt.Sprintf("%s has no message that waits", partition)
	}
	return fmt.Sprintf("%s has not stopped at offset %d: offset %d is next", partition, n.Message.Offset, n.Next)
}

// ErrNoPartition says that a log has no such partition, or that there is no such log.
var ErrNoPartition = errors.New("there is no such partition")

// Skipper has partitions go on behind messages that they have stopped at. Its methods may be called at once.
type Skipper struct {
	conn    broker.Broker
	letters *views.DeadLetters
	engine  *engine.Redriver
}

// NewSkipper returns a skipper that reads and writes through conn and w. w is its caller's to close.
func NewSkipper(conn broker.Broker, letters *views.DeadLetters, w *engine.Redriver) *Skipper {
	return &Skipper{conn, letters, w}
}

// Request asks for a message to be skipped, which is done by whoever runs the group of its log. done is the letter of one that
// was skipped before; then nothing is asked. Whoever doesn't run it now does it when it starts. The error is a *NotNext,
// ErrNoPartition, one of engine.Emitter.Emit's, or says what can't be read. It may be repeated.
func (s *Skipper) Request(ctx context.Context, id views.DeadLetterID) (done *views.DeadLetter, err error) {
	if done, err = s.Done(ctx, id); done != nil || err != nil {
		return done, err
	}
	next, err := s.next(ctx, id)
	if err != nil {
		return nil, err
	}
	if next != id.Offset {
		return nil, &NotNext{id, next}
	}
	return nil, s.engine.RequestSkip(ctx, id.Topic, id.Partition, id.Offset)
}

// Done returns the letter of a message that was skipped, nil of any other.
func (s *Skipper) Done(ctx context.Context, id views.DeadLetterID) (done *views.DeadLetter, err error) {
	err = s.letters.Walk(ctx, func(other views.DeadLetterID, _ int) bool { return other == id }, func(l views.DeadLetter) error {
		if l.Skip != nil {
			done = &l
		}
		return nil
	})
	return done, err
}

// donePace is how often Await looks.
const donePace = 200 * time.Millisecond

// Await returns the letter of a message once it was skipped, or nil when ctx ends before.
func (s *Skipper) Await(ctx context.Context, id views.DeadLetterID) (*views.DeadLetter, error) {
	tick := time.NewTicker(donePace)
	defer tick.Stop()
	for {
		done, err := s.Done(ctx, id)
		if ctx.Err() != nil {
			return nil, nil
		}
		if done != nil || err != nil {
			return done, err
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-tick.C:
		}
	}
}

// errFirst ends a reading at the first message.
var errFirst = errors.New("the first")

// next returns the offset of the message that a partition takes next, -1 if there is none.
func (s *Skipper) next(ctx context.Context, id views.DeadLetterID) (int64, error) {
	if !slices.Contains(processors.Logs, id.Topic) {
		return 0, ErrNoPartition
	}
	at := broker.TopicPartition{Topic: id.Topic, Partition: id.Partition}
	ends, err := s.conn.Ends(ctx, id.Topic)
	if err != nil {
		return 0, err
	}
	end, there := ends[at]
	if !there {
		return 0, ErrNoPartition
	}
	starts, err := s.conn.Starts(ctx, id.Topic)
	if err != nil {
		return 0, err
	}
	committed, err := s.conn.Committed(ctx, processors.GroupOf(id.Topic))
	if err != nil {
		return 0, err
	}
	next := int64(-1)
	err = s.conn.Read(ctx, id.Topic, id.Partition, max(starts[at], committed[at]), end, func(r *kgo.Record) error {
		next = r.Offset
		return errFirst
	})
	if err != nil && !errors.Is(err, errFirst) {
		return 0, err
	}
	return next, nil
}
