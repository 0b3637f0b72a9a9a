package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/journal"
)

// Local is the journal of this process as a Broker. A partition has one owner, which is this process, so a group has no
// members and is never shared out.
type Local struct {
	journal *journal.Journal
	horizon journal.Horizon
}

var _ Broker = Local{}

// NewLocal returns the broker of a journal. It shows what is durable: what is told to anybody outside.
func NewLocal(j *journal.Journal) Local { return Local{j, journal.Durable} }

// Inside returns the broker as the processors of this process see it: with all that is appended. What it shows may be gone
// after a power cut, but never without all that followed from it.
func (l Local) Inside() Local {
	l.horizon = journal.Appended
	return l
}

// Keep implements Broker.
func (l Local) Keep() (Broker, func(), error) { return l, func() {}, nil }

// Sync implements Broker.
func (l Local) Sync(ctx context.Context) error {
	return l.journal.WaitDurable(ctx, l.journal.Appended())
}

// Topics implements Broker.
func (l Local) Topics(_ context.Context, names ...string) (map[string]TopicDetail, error) {
	all := map[string]TopicDetail{}
	for _, t := range l.journal.Topics() {
		for _, name := range names {
			if t.Name == name {
				all[name] = TopicDetail{ID: t.ID.String(), Partitions: t.Partitions}
			}
		}
	}
	return all, nil
}

// Starts implements Broker.
func (l Local) Starts(_ context.Context, topics ...string) (map[TopicPartition]int64, error) {
	return l.offsets(topics, func(start, _ int64) int64 { return start })
}

// Ends implements Broker.
func (l Local) Ends(_ context.Context, topics ...string) (map[TopicPartition]int64, error) {
	return l.offsets(topics, func(_, end int64) int64 { return end })
}

func (l Local) offsets(topics []string, of func(start, end int64) int64) (map[TopicPartition]int64, error) {
	found := map[TopicPartition]int64{}
	var wrong []error
	for _, topic := range topics {
		n := int32(0)
		for p := l.journal.Partition(topic, n); p != nil; p = l.journal.Partition(topic, n) {
			found[TopicPartition{topic, n}] = of(p.Bounds(l.horizon))
			n++
		}
		if n == 0 {
			wrong = append(wrong, noTopic(topic))
		}
	}
	return found, errors.Join(wrong...)
}

func noTopic(topic string) error { return fmt.Errorf("topic %s doesn't exist", topic) }

func (l Local) partition(topic string, n int32) (*journal.Partition, error) {
	if p := l.journal.Partition(topic, n); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("topic %s has no partition %d", topic, n)
}

// Read implements Broker.
func (l Local) Read(ctx context.Context, topic string, partition int32, from, to int64, each func(*kgo.Record) error) error {
	if from >= to {
		return nil
	}
	p, err := l.partition(topic, partition)
	if err != nil {
		return err
	}
	r := kgo.Record{Topic: topic, Partition: partition}
	var names headerNames
	err = p.Read(ctx, from, to, l.horizon, func(found journal.Record) error {
		copyTo(&r, &found)
		r.Headers = names.appendHeaders(r.Headers[:0], found.Headers)
		if err := each(&r); err != nil {
			return eachError{err}
		}
		return nil
	})
	var own eachError
	switch {
	case errors.As(err, &own):
		return own.error
	case err != nil:
		return fmt.Errorf("reading %s/%d: %w", topic, partition, err)
	}
	return nil
}

// eachError is an error of who reads, and not of what is read.
type eachError struct{ error }

// copyTo makes of r the record that was found, but for its headers.
func copyTo(r *kgo.Record, found *journal.Record) {
	r.Offset, r.Timestamp, r.Key, r.Value = found.Offset, time.UnixMilli(found.Time), found.Key, found.Value
}

// Committed implements Broker.
func (l Local) Committed(_ context.Context, group string) (map[TopicPartition]int64, error) {
	all := map[TopicPartition]int64{}
	for p, c := range l.journal.Committed(group, l.horizon) {
		all[TopicPartition(p)] = c.Offset
	}
	return all, nil
}

// Commit implements Broker.
func (l Local) Commit(ctx context.Context, group string, offsets map[TopicPartition]int64) error {
	at, err := l.commit(group, offsets)
	if err == nil {
		err = l.journal.WaitDurable(ctx, at)
	}
	if err != nil {
		return fmt.Errorf("setting the offsets of the group %s: %w", group, err)
	}
	return nil
}

// commit appends what a group has committed. It is durable when all that it covers is.
func (l Local) commit(group string, offsets map[TopicPartition]int64) (journal.Position, error) {
	all := make(map[journal.TopicPartition]journal.Committed, len(offsets))
	for p, offset := range offsets {
		all[journal.TopicPartition(p)] = journal.Committed{Offset: offset}
	}
	return l.journal.Commit(group, all)
}

// Lag implements Broker.
func (l Local) Lag(ctx context.Context, group, log string) (map[TopicPartition]int64, error) {
	lags, err := l.Ends(ctx, log)
	if err != nil {
		return nil, err
	}
	committed, err := l.Committed(ctx, group)
	for p := range lags {
		lags[p] -= committed[p]
	}
	return lags, err
}

// Members implements Broker. Who has the data directory open is its owner, and that is this process.
func (l Local) Members(context.Context, string) ([]string, error) { return nil, nil }

// Ensure implements Broker.
func (l Local) Ensure(ctx context.Context, topics []Topic, partitions int32) (int32, []string, error) {
	if partitions < 1 {
		return 0, nil, fmt.Errorf("partitions must be at least 1, not %d", partitions)
	}
	found, err := l.Topics(ctx, names(topics)...)
	if err != nil {
		return 0, nil, err
	}
	count, err := agreed(topics, partitionsIn(found), partitions)
	if err != nil {
		return 0, nil, err
	}
	for _, t := range topics {
		if _, err := l.journal.CreateTopic(t.Name, kindOf(t.Kind), count); err != nil {
			return 0, nil, fmt.Errorf("make topic %s: %w", t.Name, err)
		}
	}
	var warnings []string
	if count != partitions {
		warnings = append(warnings, otherCount(count, partitions))
	}
	return count, warnings, l.Sync(ctx)
}

func partitionsIn(found map[string]TopicDetail) map[string]int32 {
	all := make(map[string]int32, len(found))
	for name, d := range found {
		all[name] = d.Partitions
	}
	return all
}

// Inspect implements Broker. Partitions are all that a topic of a journal can have otherwise than it should.
func (l Local) Inspect(ctx context.Context, topics []Topic, partitions int32) ([]State, error) {
	found, err := l.Topics(ctx, names(topics)...)
	if err != nil {
		return nil, err
	}
	have := partitionsIn(found)
	want := leading(topics, have, partitions)
	states := make([]State, len(topics))
	for i, t := range topics {
		trait := Trait{Name: "partitions", Should: strconv.Itoa(int(want.partitions))}
		n, exists := have[t.Name]
		if exists {
			trait.Is = strconv.Itoa(int(n))
		}
		if exists && n != want.partitions {
			trait.Verdict, trait.Why = Refused, "keys of one topic would not meet those of another"
		}
		states[i] = State{Topic: t, Exists: exists, Traits: []Trait{trait}}
	}
	return states, nil
}

// Journal returns the journal itself.
func (l Local) Journal() *journal.Journal { return l.journal }

func kindOf(k Kind) journal.Kind {
	if k == Table {
		return journal.Table
	}
	return journal.Log
}
