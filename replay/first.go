package replay

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
)

// trail is what the changelog says of a key, all along.
type trail struct {
	rows  map[int64]digest // by the offset that each took in last; those that agree with the fold are taken out
	last  int64            // the highest of those offsets, -1 if there are none
	row   []byte           // the row as folded so far
	first int64            // the first offset at which they part, -1 if not found
}

// part notes an offset at which they part.
func (t *trail) part(offset int64) {
	if t.first < 0 || offset < t.first {
		t.first = offset
	}
}

// findFirst finds where the rows that differ part first from the fold, by reading both again for those keys alone. A
// changelog that was compacted tells only later offsets.
func (p *part) findFirst(ctx context.Context) error {
	trails := map[string]*trail{}
	for _, d := range p.differences {
		if d.Key != "" && !d.Parted {
			trails[d.Key] = &trail{rows: map[int64]digest{}, last: -1, first: -1}
		}
	}
	if len(trails) == 0 {
		return nil
	}
	if err := p.readTrails(ctx, trails); err != nil {
		return err
	}
	if err := p.foldTrails(ctx, trails); err != nil {
		return err
	}
	for i := range p.differences {
		d := &p.differences[i]
		if t := trails[d.Key]; t != nil && t.first >= 0 {
			d.At, d.Parted = t.first, true
			if err := p.complete(d, t.row); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete adds the rows that were not at hand when the difference was told.
func (p *part) complete(d *Difference, fold []byte) (err error) {
	if d.Fold == nil {
		d.Fold = fold
	}
	if d.Table == nil {
		d.Table, err = p.rows.get(kindTable, d.Key)
	}
	return err
}

func (p *part) readTrails(ctx context.Context, trails map[string]*trail) error {
	return broker.Read(ctx, p.Conn, p.machine.Table, p.partition, p.table.start, p.table.end, func(r *kgo.Record) error {
		t := trails[string(r.Key)]
		if t == nil {
			return nil
		}
		if r.Value == nil { // from here on there is none
			t.rows, t.last = map[int64]digest{}, -1
			return nil
		}
		head, err := codecs.DecodeHead(r.Value)
		if err != nil {
			return nil // it was told
		}
		t.last = max(t.last, head.Applied)
		row := r.Value
		if plain, err := p.plain(row); err == nil {
			row = plain
		}
		t.rows[head.Applied] = digestOf(row) // all the rows of a key that is written often would take much memory
		return nil
	})
}

func (p *part) foldTrails(ctx context.Context, trails map[string]*trail) error {
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
	err := broker.Read(ctx, p.Conn, p.machine.Log, p.partition, p.log.start, p.log.end, func(r *kgo.Record) error {
		at = RecordOf(r)
		step, err := p.machine.Fold(at, world)
		if err != nil || step.Verdict == engine.Halt {
			return errHalted
		}
		t := trails[step.Key]
		if t == nil || step.Verdict != engine.Taken {
			return nil
		}
		t.row = step.After
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
			t.part(offset)
		}
	}
	if errors.Is(err, errHalted) {
		return nil
	}
	return err
}
