package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// SkippedReason is why a fold leaves out a message that was skipped. What no program could take about it is in its letter.
const SkippedReason = "the partition was told to go on behind it"

// skipPace is how often a partition that has stopped looks whether it may go on.
const skipPace = time.Second

// Skips knows which messages partitions were told to go on behind. That stands in the dead letters, in the partition that has
// the same number as the message's: first the request, then, once the owner of the partition has met the message and stopped
// at it, the letter. Only the letter counts for who folds the log, so that a request for any other message changes nothing. Safe
// for concurrent use.
type Skips struct {
	conn broker.Broker
	any  atomic.Bool // something is known

	reading sync.Mutex // guards next, and is held while the log is read
	next    map[int32]int64

	mu    sync.Mutex // guards known
	known map[skipped]codecs.Skip
}

// skipped is the place of a message that is to be skipped.
type skipped struct {
	log       string
	partition int32
	offset    int64
}

// NewSkips returns what the dead letters behind conn say.
func NewSkips(conn broker.Broker) *Skips {
	return &Skips{conn: conn, next: map[int32]int64{}, known: map[skipped]codecs.Skip{}}
}

// read takes in what has come to a partition of the dead letters. What was read stays read if it fails.
func (s *Skips) read(ctx context.Context, partition int32) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	ends, err := s.conn.Ends(ctx, DeadLetters)
	if err != nil {
		return fmt.Errorf("reading which messages are to be skipped: %w", err)
	}
	at := broker.TopicPartition{Topic: DeadLetters, Partition: partition}
	starts, err := s.conn.Starts(ctx, DeadLetters)
	if err != nil {
		return fmt.Errorf("reading which messages are to be skipped: %w", err)
	}
	err = s.conn.Read(ctx, DeadLetters, partition, max(starts[at], s.next[partition]), ends[at], func(r *kgo.Record) error {
		s.include(r)
		s.next[partition] = r.Offset + 1
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading which messages are to be skipped: %w", err)
	}
	s.next[partition] = max(s.next[partition], ends[at])
	return nil
}

// include takes in a record of the dead letters.
func (s *Skips) include(r *kgo.Record) {
	d, err := codecs.DecodeDeadLetter(r.Value)
	if err != nil || d.Skip == nil {
		return
	}
	place := skipped{d.Topic, d.Partition, d.Offset}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known[place].Done {
		s.known[place] = *d.Skip
	}
	s.any.Store(true)
}

// find returns what was said about a message.
func (s *Skips) find(log string, partition int32, offset int64) (skip codecs.Skip, asked bool) {
	if !s.any.Load() {
		return skip, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	skip, asked = s.known[skipped{log, partition, offset}]
	return skip, asked
}

// await returns when a message is to be skipped, or false when ctx ends before.
func (s *Skips) await(ctx context.Context, log string, partition int32, offset int64) (codecs.Skip, bool) {
	tick := time.NewTicker(skipPace)
	defer tick.Stop()
	for {
		_ = s.read(ctx, partition) // what it can't read now it reads later
		if skip, asked := s.find(log, partition, offset); asked && ctx.Err() == nil {
			return skip, true
		}
		select {
		case <-ctx.Done():
			return codecs.Skip{}, false
		case <-tick.C:
		}
	}
}

// RequestSkip asks whoever owns a partition to go on behind a message that it has stopped at. A request for any other message
// changes nothing. Its errors are those of Emitter.Emit; it may be repeated.
func (r *Redriver) RequestSkip(ctx context.Context, log string, partition int32, offset int64) error {
	value := codecs.EncodeDeadLetter(codecs.DeadLetter{
		Topic: log, Partition: partition, Offset: offset, Skip: &codecs.Skip{Asked: time.Now().UnixMilli()},
	})
	if err := r.writer.Write(ctx, &kgo.Record{Topic: DeadLetters, Partition: partition, Value: value}); err != nil {
		return fmt.Errorf("asking %s/%d to skip offset %d: %w", log, partition, offset, err)
	}
	return nil
}
