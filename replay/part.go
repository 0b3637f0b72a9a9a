package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
)

// What a part's scratch holds.
const (
	kindFold    kind = 'f' // the rows as folded
	kindTable   kind = 't' // the rows as the changelog has them, the newest of each key
	kindMark    kind = 'm' // in their place when they are only compared: what a comparison needs of them
	kindServed  kind = 's' // what a comparison needs of what HTTP serves
	kindShown   kind = 'h' // keys of kindServed that were compared
	kindBehind  kind = 'b' // keys of which HTTP served less than is committed; the last offset below the cut
	kindSent    kind = 'o' // outputs of what may not have been committed, by offset and index
	kindUnread  kind = 'x' // keys whose last record in the changelog does not decode, with what is wrong
	kindUnequal kind = 'u' // keys of which a difference was told
)

// part is one partition of a table.
type part struct {
	*work
	machine    Machine
	partition  int32
	log, table extent
	committed  int64 // every message below is certainly in the table; -1 for none
	cut        int64 // of a rebuilding
	served     bool  // HTTP serves the table
	rows       *scratch

	unread      int         // keys of kindUnread, or more
	halted      *Difference // at a message that no fold of this program gets past
	compared    int64       // rows of the changelog
	shown       int64       // rows that HTTP serves
	folded      int64       // messages
	digest      [2]digest   // of the rows compared: of the fold, of the table
	differences []Difference
	hidden      int64 // differences beyond the first mostTold

	unlettered, firstUnlettered int64 // messages before cut that can't be taken and have no dead letter, and the first of them
}

// verify folds the part and compares.
func (p *part) verify(ctx context.Context) error {
	if err := p.readTable(ctx, p.markRow); err != nil {
		return err
	}
	if err := p.foldLog(ctx, p.log.end, p.check); err != nil {
		return err
	}
	if err := p.checkRest(ctx); err != nil {
		return err
	}
	if err := p.findFirst(ctx); err != nil {
		return err
	}
	if len(p.Machines) < len(Machines) {
		p.rows.forget()
		return nil
	}
	return p.rows.keep(kindFold, kindSent) // for what holds across tables
}

// readTable takes in the newest row of each key. A row without value is a row that was taken away.
func (p *part) readTable(ctx context.Context, keep keeper) error {
	return p.Conn.Read(ctx, p.machine.Table, p.partition, p.table.start, p.table.end, func(r *kgo.Record) error {
		p.count()
		return p.readRow(string(r.Key), r.Value, r.Offset, keep)
	})
}

// keeper keeps a row of the changelog, nil for one that was taken away, unless it has a newer one of the key.
type keeper func(key string, head codecs.Head, row []byte) (kept bool, err error)

// readRow takes in a record of the changelog, as recovery does: what is newer stays, whichever comes last.
func (p *part) readRow(key string, row []byte, offset int64, keep keeper) error {
	head, err := codecs.DecodeHead(row)
	if row != nil && err != nil {
		p.unread++
		return p.rows.put(kindUnread, key, []byte(undecodable(offset, err)))
	}
	if kept, err := keep(key, head, row); err != nil || !kept || p.unread == 0 {
		return err
	}
	return p.rows.put(kindUnread, key, nil)
}

// keepRow keeps a whole row.
func (p *part) keepRow(key string, head codecs.Head, row []byte) (kept bool, err error) {
	if row != nil {
		old, err := p.rows.get(kindTable, key)
		if err != nil {
			return false, err
		}
		if oldHead, err := codecs.DecodeHead(old); old != nil && err == nil && oldHead.Newer(head) {
			return false, nil
		}
	}
	return true, p.rows.put(kindTable, key, row)
}

// foldLog folds the log up to end, or to a message that this program can't take, and calls each for every message. An
// error of each ends it before the message's row is taken in.
func (p *part) foldLog(ctx context.Context, end int64, each func(step Step) error) error {
	var at engine.Record
	world := World{
		Partitions: p.reach.partitions,
		Reaches:    func(o codecs.Origin) (bool, error) { return p.reached(at, o) },
		Row:        func(key string) ([]byte, error) { return p.rows.peek(kindFold, key) }, // it is put last
	}
	err := p.Conn.Read(ctx, p.machine.Log, p.partition, p.log.start, end, func(r *kgo.Record) error {
		p.count()
		var err error
		if at, err = p.recordOf(r); err != nil {
			return err
		}
		step, err := p.machine.Fold(at, world)
		if err != nil {
			return fmt.Errorf("folding offset %d of %s/%d: %w", r.Offset, p.machine.Log, p.partition, err)
		}
		p.folded++
		if step.Disposition == engine.Halt {
			p.halted = &Difference{At: r.Offset, Problem: step.Reason}
			return errHalted
		}
		if err := each(step); err != nil || step.Disposition != engine.Applied {
			return err
		}
		return p.rows.put(kindFold, step.Key, step.After)
	})
	if errors.Is(err, errHalted) {
		return nil
	}
	return err
}

// errHalted ends the reading of a partition at a message that this program can't take.
var errHalted = fmt.Errorf("%w: this program can't take a message", ErrUncheckable)

// reached tells whether the log of an origin reached beyond it when the message was taken. A log grows, so what is there
// now doesn't tell; the dead letter does that a message with such an origin became.
func (p *part) reached(r engine.Record, _ codecs.Origin) (bool, error) {
	if !p.forged {
		return true, nil
	}
	reason, err := p.letters.get(kindLetter, letterKey(p.machine.Log, r.Partition, r.Offset))
	return !strings.HasSuffix(string(reason), engine.BeyondEnd), err
}

// recordOf is RecordOf, and whether the message was skipped.
func (p *part) recordOf(r *kgo.Record) (engine.Record, error) {
	record := RecordOf(r)
	if !p.skips {
		return record, nil
	}
	skipped, err := p.letters.get(kindSkipped, letterKey(p.machine.Log, r.Partition, r.Offset))
	record.Skipped = skipped != nil
	return record, err
}

// RecordOf is a record as a machine takes it.
func RecordOf(r *kgo.Record) engine.Record {
	record := engine.Record{Partition: r.Partition, Offset: r.Offset, At: r.Timestamp.UnixMilli(), Key: string(r.Key), Value: r.Value}
	for _, h := range r.Headers {
		switch h.Key {
		case codecs.HeaderOrigin:
			record.Origin = h.Value
		case codecs.HeaderRedrive:
			record.Redrive = h.Value
		}
	}
	if u := broker.UnreadableOf(r); u != nil {
		record.Unreadable = u.Error()
	}
	return record
}

// readDeadLetters takes in which messages became dead letters, and why.
func (w *work) readDeadLetters(ctx context.Context) error {
	for n, e := range w.reach.logs[deadLettersLog] {
		err := w.Conn.Read(ctx, deadLettersLog, int32(n), e.start, e.end, func(r *kgo.Record) error {
			l, err := codecs.DecodeDeadLetter(r.Value)
			if err != nil || !l.IsMessage() {
				return nil // nobody's, a note or a request
			}
			if l.Skip != nil {
				w.skips = true
				if err := w.letters.put(kindSkipped, letterKey(l.Topic, l.Partition, l.Offset), []byte{1}); err != nil {
					return err
				}
			}
			w.forged = w.forged || strings.HasSuffix(l.Reason, engine.BeyondEnd)
			return w.letters.put(kindLetter, letterKey(l.Topic, l.Partition, l.Offset), []byte(l.Reason))
		})
		if err != nil {
			return fmt.Errorf("reading %s/%d: %w", deadLettersLog, n, err)
		}
	}
	return nil
}

const (
	deadLettersLog      = engine.DeadLetters
	kindLetter     kind = 'l'
	kindSkipped    kind = 'k' // letters of messages that were skipped
)

func (p *part) count() { p.Progress.add(1) }
