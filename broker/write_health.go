package broker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// writeHealth knows which partitions take what is written to them: brokers that answer may still have no leader for one, or too few
// replicas in sync. A partition that has acknowledged nothing for as long as Write waits is let alone. What it was sent before is
// still with the client, which goes on sending it; so that is the probe, and the first answer to it lets everybody in again.
// Nothing is lost by the others' being refused: in the client they would only stand behind it.
type writeHealth struct {
	mu sync.Mutex // guards what follows, and what it points to
	of map[TopicPartition]*partitionHealth
}

// partitionHealth is what is known of a partition.
type partitionHealth struct {
	underWay int       // records that were sent and not answered
	silent   time.Time // since when nothing has been answered, while there are any
	failures int       // how many were answered with an error, since one was acknowledged
	failed   time.Time // when the last one was
	failure  error     // and with what
	next     int64     // the offset that the next record gets, or a later one; 0 as long as none is known
	cut      error     // that a record got an offset below
}

// saidFor is how long it is said that a write has failed. Only another write can show that the next won't, and a balancer that sends
// none because of what is said would keep it true for ever.
const saidFor = time.Minute

func newWriteHealth() *writeHealth { return &writeHealth{of: map[TopicPartition]*partitionHealth{}} }

// enter counts a record that is about to be sent to p. If it returns an error, none is to be sent.
func (u *writeHealth) enter(p TopicPartition, now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, known := u.of[p]
	if !known {
		s = &partitionHealth{}
		u.of[p] = s
	}
	if s.stuck(now) || s.cut != nil {
		return errors.New(s.complaint(p, now))
	}
	if s.underWay == 0 {
		s.silent = now
	}
	s.underWay++
	return nil
}

// landed takes the offset that a record of p got. It is an error if there was one before it with that offset: the log was cut,
// and what is written now may be taken for what was read before. From then on nothing is let in.
func (u *writeHealth) landed(p TopicPartition, offset int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.of[p]
	if offset < s.next && s.cut == nil && offset >= 0 { // a repeat whose offset is forgotten has none
		s.cut = fmt.Errorf("%s was cut: it has reached offset %d, and a later record got %d", p, s.next-1, offset)
	}
	s.next = max(s.next, offset+1)
	return s.cut
}

// leave takes what became of a record that has entered.
func (u *writeHealth) leave(p TopicPartition, err error, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.of[p]
	s.underWay--
	switch {
	case notSent(err): // which says nothing of the partition
		return
	case err == nil:
		s.failures, s.failure = 0, nil
	case !itsOwn(err):
		s.failures, s.failed, s.failure = s.failures+1, now, err
	}
	s.silent = now
}

// waiting says which partitions take nothing, one line each.
func (u *writeHealth) waiting(now time.Time) (lines []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range slices.SortedFunc(maps.Keys(u.of), TopicPartition.compare) {
		if line := u.of[p].complaint(p, now); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func (p TopicPartition) compare(o TopicPartition) int {
	return cmp.Or(cmp.Compare(p.Topic, o.Topic), cmp.Compare(p.Partition, o.Partition))
}

func (s *partitionHealth) stuck(now time.Time) bool {
	return s.underWay > 0 && now.Sub(s.silent) >= writePatience
}

// complaint says what is wrong with the partition, "" if nothing is known to be.
func (s *partitionHealth) complaint(p TopicPartition, now time.Time) string {
	switch {
	case s.cut != nil:
		return s.cut.Error()
	case s.stuck(now):
		return fmt.Sprintf("%s takes nothing: %d writes have not been acknowledged since %s", p, s.underWay, stampOf(s.silent))
	case s.failures > 0 && now.Sub(s.failed) < saidFor:
		return fmt.Sprintf("%s takes nothing: %d writes have failed, the last at %s: %v", p, s.failures, stampOf(s.failed), s.failure)
	}
	return ""
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// notSent reports whether a record has not left the client.
func notSent(err error) bool {
	return errors.Is(err, kgo.ErrMaxBuffered) || errors.Is(err, kgo.ErrClientClosed)
}

// itsOwn reports whether it was because of the record that it was not taken: the partition takes others.
func itsOwn(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.CorruptMessage)
}
