package history

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/replay"
)

// Question asks for the history of one key.
type Question struct {
	Machine    replay.Machine
	Key        string
	Partitions int32
	// Dir is where a history is kept that nobody runs on. If the key's partition is there, only what it lacks is read from
	// the log. Without it the whole partition is, into memory, of which no more is kept than the key's own messages.
	Dir string
	// Progress, if not nil, is told from time to time how far the partition has been read, and how far it goes.
	Progress func(read, end int64)
	Log      func(msg string, args ...any) // told of a history that was set aside
}

// Single is the history of one key, up to where its log ended when it was recalled. It is for one goroutine.
type Single struct {
	annals *partitionHistory
	key    string
	first  int64 // the time of the first message of its log, 0 for an empty one, or one whose beginning has expired
}

// Recall reads the history of a key from its log. The caller closes it.
func Recall(ctx context.Context, conn broker.Broker, q Question) (*Single, error) {
	now, err := boundsOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	p := broker.Partition([]byte(q.Key), q.Partitions)
	a := newPartitionHistory(q.Machine, p, q.Partitions, "", q.Log)
	if _, err := os.Stat(Dir(q.Dir, q.Machine.Log, p)); q.Dir != "" && err == nil {
		a.dir = Dir(q.Dir, q.Machine.Log, p)
	} else {
		a.only = q.Key
	}
	if err := a.open(now); err != nil {
		return nil, err
	}
	s := &Single{annals: a, key: q.Key}
	if err := s.catchUp(ctx, conn, q, now); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return s, nil
}

// catchUp reads what the annals lack.
func (s *Single) catchUp(ctx context.Context, conn broker.Broker, q Question, now bounds) error {
	a, log := s.annals, q.Machine.Log
	end := now.end(log, a.partition)
	err := inBatches(ctx, conn, log, a.partition, a.at().Next, end, func(records []*kgo.Record) error {
		if q.Progress != nil {
			q.Progress(records[0].Offset, end)
		}
		return a.take(records)
	})
	if err == nil {
		err = inBatches(ctx, conn, engine.DeadLetters, a.partition, a.at().Letters, now.end(engine.DeadLetters, a.partition), a.addDeadLetters)
	}
	if err != nil {
		return err
	}
	s.first, err = firstOf(ctx, conn, log, q.Partitions, now)
	return err
}

// inBatches reads a part of a partition.
func inBatches(ctx context.Context, conn broker.Broker, topic string, partition int32, from, end int64, take func([]*kgo.Record) error) error {
	if from >= end {
		return nil
	}
	var batch []*kgo.Record
	err := conn.Read(ctx, topic, partition, from, end, func(r *kgo.Record) error {
		kept := *r
		kept.Headers = slices.Clone(r.Headers)
		if batch = append(batch, &kept); len(batch) < batchRecords {
			return nil
		}
		defer func() { batch = batch[:0] }()
		return take(batch)
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return take(batch)
}

// errFirst ends the reading of a partition at its first record.
var errFirst = errors.New("the first record")

// firstOf returns the time of the first message of a log, 0 if it is empty, or if its beginning has expired.
func firstOf(ctx context.Context, conn broker.Broker, log string, partitions int32, now bounds) (first int64, err error) {
	for p := range partitions {
		from, end := now.start(log, p), now.end(log, p)
		if from > 0 {
			return 0, nil
		}
		if from >= end {
			continue
		}
		err := conn.Read(ctx, log, p, from, end, func(r *kgo.Record) error {
			if at := r.Timestamp.UnixMilli(); first == 0 || at < first {
				first = at
			}
			return errFirst
		})
		if err != nil && !errors.Is(err, errFirst) {
			return 0, err
		}
	}
	return first, nil
}

// At returns the row as it was at a time. The errors are those of History.At.
func (s *Single) At(at int64) (Moment, error) {
	m, err := s.annals.momentBy(s.key, at)
	return m, early(err, s.annals.machine.Log, s.first, at)
}

// AtOffset returns the row as it was after the message at an offset of its partition. The error may be a *Beyond.
func (s *Single) AtOffset(offset int64) (Moment, error) { return s.annals.momentAt(s.key, offset) }

// Close ends the use of the history.
func (s *Single) Close() error { return s.annals.close() }
