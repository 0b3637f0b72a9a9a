package engine

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// progress is how far a group has taken its log, whoever holds the partitions. It belongs to one goroutine.
type progress struct {
	conn       broker.Broker
	group, log string
	backlogs   map[int32]*backlog // of partitions behind whose committed offset something is written
	looked     time.Time          // when it was last tried to look
}

// backlog is where a group stands in a partition.
type backlog struct {
	partition int32
	committed int64     // the offset of the next message
	written   int64     // where the partition ends, with what can't be read yet
	since     time.Time // when the group was first seen to stand here with something to take
	searched  int64     // no message lies between committed and here, only what transactions leave behind
	first     time.Time // log time of the first message that waits; zero if none was found
	unread    error     // why that couldn't be found out
}

// errFound ends the reading of a partition at its first message.
var errFound = errors.New("there is a message")

// examining is how long the brokers may take to show the first message that waits.
const examining = 5 * time.Second

// look finds out where the group stands. While the brokers don't say, time stands still: nobody could take anything.
func (p *progress) look(ctx context.Context, now time.Time) error {
	err := p.ask(ctx, now)
	for _, s := range p.backlogs {
		if err != nil && !s.since.After(p.looked) {
			s.since = s.since.Add(now.Sub(p.looked))
		}
	}
	p.looked = now
	return err
}

// ask is look. What the group stands at is only read if it has not moved since the last look, so that a group at work, or one
// that has nothing to do, costs nothing more.
func (p *progress) ask(ctx context.Context, now time.Time) error {
	lags, err := p.conn.Lag(ctx, p.group, p.log)
	if err != nil {
		return err
	}
	maps.DeleteFunc(lags, func(_ broker.TopicPartition, lag int64) bool { return lag <= 0 })
	maps.DeleteFunc(p.backlogs, func(n int32, _ *backlog) bool { return lags[broker.TopicPartition{Topic: p.log, Partition: n}] == 0 })
	if len(lags) == 0 {
		return nil
	}
	committed, err := p.conn.Committed(ctx, p.group)
	if err != nil {
		return err
	}
	var still []*backlog
	for at, lag := range lags {
		s := p.backlogs[at.Partition]
		if s == nil || s.committed != committed[at] {
			s = &backlog{partition: at.Partition, committed: committed[at], searched: committed[at], since: now}
			p.backlogs[at.Partition] = s
		} else {
			if s.waiting() == 0 {
				s.since = now
			}
			still = append(still, s)
		}
		s.written = s.committed + lag
	}
	return p.examine(ctx, still, now)
}

// examine looks at what waits in partitions where nothing has moved.
func (p *progress) examine(ctx context.Context, still []*backlog, now time.Time) error {
	if len(still) == 0 {
		return nil
	}
	readable, err := p.conn.Ends(ctx, p.log)
	if err != nil {
		return err
	}
	for _, s := range still {
		p.search(ctx, s, readable[broker.TopicPartition{Topic: p.log, Partition: s.partition}], now)
	}
	return ctx.Err()
}

// search looks for the first message that waits in a partition, before the end of what can be read.
func (p *progress) search(ctx context.Context, s *backlog, end int64, now time.Time) {
	if !s.first.IsZero() || end <= s.searched {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, examining)
	defer cancel()
	err := p.conn.Read(ctx, p.log, s.partition, s.searched, end, func(r *kgo.Record) error {
		s.first = r.Timestamp
		return errFound
	})
	s.unread = nil
	switch {
	case err == nil: // a transaction has come to its end, or was given up, and left nothing to take
		s.searched, s.since = end, now
	case !errors.Is(err, errFound):
		s.unread = err
	}
}

// waiting returns how many records wait, as far as is known.
func (s *backlog) waiting() int64 { return s.written - s.searched }

// age returns how long the first message has waited; if it isn't known which that is, since when the group stands there.
func (s *backlog) age(now time.Time) time.Duration {
	switch {
	case !s.first.IsZero():
		return max(0, now.Sub(s.first))
	case s.waiting() > 0:
		return now.Sub(s.since)
	}
	return 0
}

// stalled reports whether messages have waited for too long and nobody has taken one.
func (s *backlog) stalled(now time.Time, patience time.Duration) bool {
	return s.waiting() > 0 && now.Sub(s.since) >= patience
}

// held reports whether all that waits was written by transactions that are open.
func (s *backlog) held() bool { return s.first.IsZero() && s.unread == nil }
