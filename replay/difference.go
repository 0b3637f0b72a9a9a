package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/engine"
)

// differencePath is what the changelog says of a key, all along.
type differencePath struct {
	rows   map[int64]digest // by the offset that each took in last; those that agree with the fold are taken out
	last   int64            // the highest of those offsets that the log has, -1 if there are none
	row    []byte           // the row as folded so far
	folded int64            // the last message that is certainly in the table, or in one of rows; -1 if there is none
	first  int64            // the first offset at which they part, -1 if not found

	head   codecs.Head // of table
	table  []byte      // the changelog's newest row, as recovery has it
	at     int64       // the offset in the changelog of table
	unread []byte      // what came behind table and does not decode
}

func newDifferencePath() *differencePath {
	return &differencePath{rows: map[int64]digest{}, last: -1, folded: -1, first: -1}
}

// part notes an offset at which they part.
func (t *differencePath) part(offset int64) {
	if t.first < 0 || offset < t.first {
		t.first = offset
	}
}

// forget forgets all rows: what came before a tombstone, or before a replay, says nothing of the rows behind it.
func (t *differencePath) forget() {
	t.rows, t.last, t.table, t.unread, t.head = map[int64]digest{}, -1, nil, nil, codecs.Head{}
}

// findFirst finds where the rows that differ part first from the fold, by reading both again for those keys alone. A
// changelog that was compacted tells only later offsets.
func (p *part) findFirst(ctx context.Context) error {
	trails := map[string]*differencePath{}
	for _, d := range p.differences {
		if d.Key != "" {
			trails[d.Key] = newDifferencePath()
		}
	}
	if len(trails) == 0 {
		return nil
	}
	if err := p.readPaths(ctx, trails); err != nil {
		return err
	}
	if err := p.foldPaths(ctx, trails); err != nil {
		return err
	}
	for i := range p.differences {
		d := &p.differences[i]
		if t := trails[d.Key]; t != nil {
			p.complete(d, t)
		}
		if err := p.expect(d); err != nil {
			return err
		}
	}
	return nil
}

// complete adds what was not at hand when the difference was told. A changelog that agrees wherever it can be compared, and
// whose row is still not the one that it should be, parts where that one was made.
func (p *part) complete(d *Difference, t *differencePath) {
	if d.ofTable && t.first < 0 {
		t.first = t.folded
	}
	if t.first >= 0 && !d.Parted {
		d.At, d.Parted = t.first, true
	}
	if d.Fold == nil {
		d.Fold = t.row
	}
	p.addRow(d, t)
}

// addRow adds the row that the changelog has.
func (p *part) addRow(d *Difference, t *differencePath) {
	if d.Table = t.table; t.unread != nil {
		d.Table = t.unread
		return
	}
	if d.Problem != rowsDiffer || d.Table == nil {
		return
	}
	if _, err := p.plain(d.Table); err != nil {
		d.Problem = undecodable(t.at, err)
	}
}

// undecodable is the problem with a record of the changelog.
func undecodable(offset int64, err error) string {
	return fmt.Sprintf("the row at offset %d of the changelog does not decode: %v", offset, err)
}

func (p *part) readPaths(ctx context.Context, trails map[string]*differencePath) error {
	return p.Conn.Read(ctx, p.machine.Table, p.partition, p.table.start, p.table.end, func(r *kgo.Record) error {
		if t := trails[string(r.Key)]; t != nil {
			p.readPath(t, r)
		}
		return nil
	})
}

// readPath takes in a record of the changelog, as readRow does.
func (p *part) readPath(t *differencePath, r *kgo.Record) {
	if r.Value == nil {
		t.forget()
		return
	}
	head, err := codecs.DecodeHead(r.Value)
	if err != nil {
		t.unread = bytes.Clone(r.Value)
		return
	}
	switch {
	case t.table != nil && head.Rebuilt < t.head.Rebuilt:
		return // replay has written over it
	case t.table != nil && head.Rebuilt > t.head.Rebuilt:
		t.forget()
	}
	if head.Applied < p.log.end {
		t.last = max(t.last, head.Applied)
	}
	if t.table == nil || !t.head.Newer(head) {
		t.head, t.table, t.at, t.unread = head, bytes.Clone(r.Value), r.Offset, nil
	}
	row := r.Value
	if plain, err := p.plain(row); err == nil {
		row = plain
	}
	t.rows[head.Applied] = digestOf(row) // all the rows of a key that is written often would take much memory
}

func (p *part) foldPaths(ctx context.Context, trails map[string]*differencePath) error {
	var at engine.Record
	world := World{
		Partitions: p.reach.partitions,
		Reaches:    func(o codecs.Origin) (bool, error) { return p.reached(at, o) },
		Row: func(key string) ([]byte, error) {
			if t := trails[key]; t != nil {
				return t.row, nil
			}
			return nil, nil // nobody's concern here
		},
	}
	err := p.Conn.Read(ctx, p.machine.Log, p.partition, p.log.start, p.log.end, func(r *kgo.Record) error {
		var err error
		if at, err = p.recordOf(r); err != nil {
			return err
		}
		step, err := p.machine.Fold(at, world)
		if err != nil || step.Disposition == engine.Halt {
			return errHalted
		}
		t := trails[step.Key]
		if t == nil || step.Disposition != engine.Applied {
			return nil
		}
		t.row = step.After
		if step.Offset < p.committed || step.Offset <= t.last {
			t.folded = step.Offset
		}
		row, known := t.rows[step.Offset]
		switch {
		case known && row == digestOf(step.After):
			delete(t.rows, step.Offset)
		case known:
			t.part(step.Offset)
		case step.Offset > t.last && step.Offset < p.committed:
			t.part(step.Offset)
		}
		return nil
	})
	for _, t := range trails {
		for offset := range t.rows { // they agree with nothing
			if offset < p.log.end && (p.halted == nil || offset < p.halted.At) {
				t.part(offset)
			}
		}
	}
	if errors.Is(err, errHalted) {
		return nil
	}
	return err
}
