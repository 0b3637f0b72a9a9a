package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
)

// Rebuilding says which tables to rebuild. Those of its fields that it shares with Verification are the same.
type Rebuilding struct {
	Conn     broker.Broker
	Machines []Machine
	Dir      string
	Progress *Progress
	DryRun   bool               // nothing is written
	Each     func(Change) error // is told of each row that changes, one after the other; nil tells nobody
}

// Change is what becomes of a row.
type Change struct {
	Table     string
	Partition int32
	Key       string
	Old, New  []byte // rows, nil for none
	machine   Machine
}

// Rows returns both rows for people, "none" for one that isn't there.
func (c Change) Rows() (old, now string) {
	now, old = Difference{Fold: c.New, Table: c.Old, machine: c.machine}.Rows()
	return old, now
}

// Rebuilt is what a rebuilding came to.
type Rebuilt struct {
	Tables []RebuiltTable `json:"tables"`
	DryRun bool           `json:"dry_run"`
}

// RebuiltTable is a table's part of it.
type RebuiltTable struct {
	Table   string       `json:"table"`
	Rows    int64        `json:"rows"`    // that the log makes
	Written int64        `json:"written"` // that differed
	Removed int64        `json:"removed"` // that should not have been
	Cuts    []RebuiltCut `json:"cuts"`    // by partition
}

// RebuiltCut is where the processor goes on in a partition.
type RebuiltCut struct {
	Offset int64 `json:"offset"`
	// Found is set when no offset was committed: Offset is then the first message with an output that is missing in
	// the log where it belongs, or the end.
	Found bool `json:"found"`
	// Unlettered are the messages before Offset that can't be taken and of which there is no dead letter. None is sent.
	Unlettered int64 `json:"without_dead_letter,omitempty"`
	// FirstUnlettered is the offset of the first of them.
	FirstUnlettered int64 `json:"first_without_dead_letter,omitempty"`
}

// Rebuild makes tables what their logs make them: it writes the rows that differ, with rebuilt one higher, so that they
// are newer than what was there whatever that claims, and takes away those that should not be. Where a group has not
// committed an offset, it is set. Nothing else is sent: what comes after the cut is left to the processor, which sends
// what has not been sent.
//
// If it is broken off, by a crash too, it can be done again: rows are written before offsets are set, and a row that was
// written doesn't differ. The error wraps ErrMembers while somebody processes, or has begun to meanwhile, and ErrUncheckable if the logs are not
// all there or are beyond this program.
func (r Rebuilding) Rebuild(ctx context.Context) (result *Rebuilt, err error) {
	w, err := Verification{Conn: r.Conn, Machines: r.Machines, Dir: r.Dir, Progress: r.Progress}.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	if err := w.nobodyYet(ctx); err != nil {
		return nil, err
	}
	if err := w.collect(ctx); err != nil {
		return nil, err
	}
	landed, err := w.deliveredOutputs(ctx)
	if err != nil {
		return nil, err
	}
	err = w.each(ctx, func(p *part, ctx context.Context) error {
		if err := p.refold(ctx, landed); err != nil {
			return err
		}
		return p.rows.keep() // until all are folded, and written
	})
	if err != nil {
		return nil, err
	}
	if err := w.nobodyYet(ctx); err != nil {
		return nil, err
	}
	return w.write(ctx, r)
}

// What refolding leaves in a part's scratch, besides kindFold and kindTable.
const (
	kindBeyond kind = 'g' // rows as folded beyond the cut, where they differ from those at it
	kindKept   kind = 'k' // keys whose row has taken in messages beyond the cut, and is right
)

// errCut ends a fold at a message that was not done.
var errCut = errors.New("the first message that was not done")

// refold folds the log up to the cut, and finds it where it isn't known.
func (p *part) refold(ctx context.Context, landed deliveredOutputs) error {
	if err := p.readTable(ctx, p.keepRow); err != nil {
		return err
	}
	end, furthest := p.committed, int64(-1)
	if end < 0 {
		end = p.log.end
	} else if err := p.rows.each(kindTable, func(_ string, row []byte) error {
		head, err := codecs.DecodeHead(row)
		furthest = max(furthest, head.Applied)
		return err
	}); err != nil {
		return err
	}
	p.cut = end
	err := p.foldLog(ctx, end, func(step Step) error {
		if p.committed >= 0 {
			return p.missDeadLetter(step)
		}
		if done, err := p.done(landed, step); err != nil || done {
			return err
		}
		p.cut = step.Offset
		return errCut
	})
	if err != nil && !errors.Is(err, errCut) {
		return err
	}
	if p.halted != nil && p.halted.At < end {
		if p.committed >= 0 {
			return fmt.Errorf("%w: %s/%d, offset %d: %s", ErrUncheckable, p.machine.Log, p.partition, p.halted.At, p.halted.Problem)
		}
		p.cut = min(p.cut, p.halted.At)
	}
	if p.committed < 0 || furthest < p.cut {
		return nil
	}
	return p.keepBeyond(ctx, min(furthest+1, p.log.end))
}

// missDeadLetter counts a message that became a dead letter of which there is none. It can't be mended here: what is lost with it is
// what the machine was told when the message came.
func (p *part) missDeadLetter(step Step) error {
	if step.Disposition != engine.DeadLettered {
		return nil
	}
	reason, err := p.letters.get(kindLetter, letterKey(p.machine.Log, p.partition, step.Offset))
	if err != nil || reason != nil {
		return err
	}
	if p.unlettered++; p.unlettered == 1 {
		p.firstUnlettered = step.Offset
	}
	return nil
}

// done reports whether everything that a message sent has landed where it belongs.
func (p *part) done(l deliveredOutputs, step Step) (bool, error) {
	origin := codecs.Origin{Log: p.machine.Log, Partition: p.partition, Offset: step.Offset}
	switch step.Disposition {
	case engine.DeadLettered:
		reason, err := p.letters.get(kindLetter, letterKey(p.machine.Log, p.partition, step.Offset))
		return reason != nil, err
	case engine.Moved:
		return l.has(output{origin, p.machine.Log, p.homeOf(step.Key), step.Key, step.Type})
	}
	for i, o := range step.Outputs {
		origin.Index = int32(i)
		if there, err := l.has(output{origin, o.Log, p.homeOf(o.Key), o.Key, o.Type}); err != nil || !there {
			return false, err
		}
	}
	return true, nil
}

// homeOf is the partition of a key, in every log.
func (w *work) homeOf(key string) int32 { return broker.Partition([]byte(key), w.reach.partitions) }

// keepBeyond finds the rows that have taken in messages beyond the cut, as those of a process that was killed have, and
// are what the log makes them: their outputs had all been sent, so they may stay.
func (p *part) keepBeyond(ctx context.Context, end int64) error {
	row := func(key string) ([]byte, error) {
		if young, err := p.rows.get(kindBeyond, key); err != nil || young != nil {
			return young, err
		}
		return p.rows.get(kindFold, key)
	}
	var at engine.Record
	world := World{Partitions: p.reach.partitions, Row: row, Reaches: func(o codecs.Origin) (bool, error) { return p.reached(at, o) }}
	err := p.Conn.Read(ctx, p.machine.Log, p.partition, p.cut, end, func(r *kgo.Record) error {
		var err error
		if at, err = p.recordOf(r); err != nil {
			return err
		}
		step, err := p.machine.Fold(at, world)
		switch {
		case err != nil:
			return err
		case step.Disposition == engine.Halt:
			return errCut
		case step.Disposition != engine.Applied:
			return nil
		}
		if err := p.rows.put(kindBeyond, step.Key, step.After); err != nil {
			return err
		}
		table, err := p.rows.get(kindTable, step.Key)
		if err != nil || table == nil {
			return err
		}
		if unread, err := p.rows.get(kindUnread, step.Key); err != nil || unread != nil {
			return err // what lies behind the row must be written over
		}
		if plain, err := p.plain(table); err == nil && bytes.Equal(plain, step.After) {
			return p.rows.put(kindKept, step.Key, []byte{1})
		}
		return nil
	})
	if errors.Is(err, errCut) {
		return nil
	}
	return err
}

// write writes what differs, and sets the offsets that are lost.
func (w *work) write(ctx context.Context, r Rebuilding) (*Rebuilt, error) {
	producer, err := w.Conn.Producer(broker.LargestMessage)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	result := &Rebuilt{DryRun: r.DryRun}
	out := &writing{r, producer, make(chan error, 1)}
	for _, p := range w.parts {
		if n := len(result.Tables); n == 0 || result.Tables[n-1].Table != p.machine.Table {
			result.Tables = append(result.Tables, RebuiltTable{Table: p.machine.Table})
		}
		t := &result.Tables[len(result.Tables)-1]
		t.Cuts = append(t.Cuts, RebuiltCut{p.cut, p.committed < 0, p.unlettered, p.firstUnlettered})
		if err := out.part(ctx, p, t); err != nil {
			return nil, errors.Join(fmt.Errorf("writing %s/%d: %w", p.machine.Table, p.partition, err), producer.Flush(ctx))
		}
	}
	if r.DryRun {
		return result, nil
	}
	if err := producer.Flush(ctx); err != nil {
		return nil, err
	}
	select {
	case err := <-out.failed:
		return nil, err
	default:
	}
	if err := w.nobodyMeanwhile(ctx); err != nil {
		return nil, err
	}
	return result, w.setCuts(ctx)
}

// setCuts sets the offsets of the groups that have none.
func (w *work) setCuts(ctx context.Context) error {
	offsets := map[string]map[broker.TopicPartition]int64{}
	for _, p := range w.parts {
		if p.committed < 0 {
			group := p.machine.Name
			if offsets[group] == nil {
				offsets[group] = map[broker.TopicPartition]int64{}
			}
			offsets[group][broker.TopicPartition{Topic: p.machine.Log, Partition: p.partition}] = p.cut
		}
	}
	for group, o := range offsets {
		if err := w.Conn.Commit(ctx, group, o); err != nil {
			return err
		}
	}
	return nil
}

// writing writes rows.
type writing struct {
	Rebuilding
	producer broker.Producer
	failed   chan error // the first error
}

// part writes the rows of a part that differ.
func (w *writing) part(ctx context.Context, p *part, t *RebuiltTable) error {
	err := p.rows.each(kindFold, func(key string, row []byte) error {
		t.Rows++
		old, err := p.rows.get(kindTable, key)
		if err != nil {
			return err
		}
		if kept, err := p.rows.get(kindKept, key); err != nil || kept != nil {
			return err
		}
		unreadable, err := p.rows.get(kindUnread, key)
		if err != nil {
			return err
		}
		rebuilt := int64(1)
		if old != nil {
			plain, err := p.plain(old)
			if err == nil && bytes.Equal(plain, row) && unreadable == nil {
				return nil
			}
			if head, err := codecs.DecodeHead(old); err == nil {
				rebuilt = head.Rebuilt + 1
			}
		}
		if row, err = p.machine.rehead(row, func(h *codecs.Head) { h.Rebuilt = rebuilt }); err != nil {
			return err
		}
		t.Written++
		return w.change(ctx, Change{p.machine.Table, p.partition, key, old, row, p.machine})
	})
	if err != nil {
		return err
	}
	remove := func(key string, old []byte) error {
		if row, err := p.rows.get(kindFold, key); err != nil || row != nil {
			return err
		}
		if kept, err := p.rows.get(kindKept, key); err != nil || kept != nil {
			return err
		}
		t.Removed++
		return w.change(ctx, Change{p.machine.Table, p.partition, key, old, nil, p.machine})
	}
	if err := p.rows.each(kindTable, remove); err != nil {
		return err
	}
	return p.rows.each(kindUnread, func(key string, _ []byte) error {
		if old, err := p.rows.get(kindTable, key); err != nil || old != nil {
			return err
		}
		return remove(key, nil)
	})
}

func (w *writing) change(ctx context.Context, c Change) error {
	if w.Each != nil {
		if err := w.Each(c); err != nil {
			return err
		}
	}
	if w.DryRun {
		return ctx.Err()
	}
	select {
	case err := <-w.failed:
		return err
	default:
	}
	w.producer.Produce(ctx, &kgo.Record{Topic: c.Table, Partition: c.Partition, Key: []byte(c.Key), Value: c.New}, func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case w.failed <- err:
			default:
			}
		}
	})
	return nil
}
