package journal

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Cursor reads a partition from an offset on. It belongs to one goroutine.
type Cursor struct {
	p       *Partition
	horizon Horizon
	offset  int64
	rest    []Record // that were read from the archive, and not returned
	memory  []Record // what the last call returned, for the next one; nil if it was much

	passed atomic.Int64 // offset, as compaction sees it
}

// Follow returns a cursor whose first record is the one at from, or, of a table, the next that is left.
func (p *Partition) Follow(from int64, h Horizon) *Cursor {
	c := &Cursor{p: p, horizon: h, offset: from}
	c.passed.Store(from)
	p.follow(c)
	return c
}

// Offset returns the offset that is read next.
func (c *Cursor) Offset() int64 { return c.offset }

// Next returns records, waiting for the first: as many as have maxBytes of keys, values and headers, and 32 bytes more
// each, but at least one. The slice is the cursor's again with the next call; the records in it may be kept.
// It returns ErrOutOfRange if the cursor is below the partition's start or above its end, a DamageError if the disk has
// lost what is next, and when there is nothing left ErrBroken or ErrClosed.
func (c *Cursor) Next(ctx context.Context, maxBytes int) ([]Record, error) {
	for {
		records, err := c.Try(maxBytes)
		if err != nil || len(records) > 0 {
			return records, err
		}
		select {
		case <-c.Wake():
		case <-ctx.Done():
			return nil, fmt.Errorf("follow %s: %w", c.p, ctx.Err())
		}
	}
}

// Try is Next without the waiting: it returns nothing if there is nothing now.
func (c *Cursor) Try(maxBytes int) ([]Record, error) {
	clear(c.memory) // it would keep frames in memory
	b := batch{records: c.memory[:0], left: max(0, maxBytes)}
	for !b.full {
		more, err := c.fill(&b)
		if err != nil && len(b.records) == 0 {
			return nil, fmt.Errorf("read %s: %w", c.p, err)
		}
		if err != nil || !more {
			break // an error comes back with the next call
		}
	}
	c.passed.Store(c.offset)
	if len(b.records) == 0 {
		return nil, nil
	}
	if c.memory = b.records; cap(c.memory) > keptRecords {
		c.memory = nil
	}
	return b.records, nil
}

// keptRecords is for how many records a cursor keeps memory: those that come in while it is at work on others.
const keptRecords = 64

// recordWeight is what a record counts beside its key, value and headers.
const recordWeight = 32

// batch is what one call returns.
type batch struct {
	records []Record
	left    int  // bytes that may still be added
	full    bool // the next one doesn't fit
}

// add adds a record unless there are some and it doesn't fit.
func (b *batch) add(r *Record) bool {
	n := r.payload() + recordWeight
	if len(b.records) > 0 && n > b.left {
		b.full = true
		return false
	}
	b.left -= n
	b.records = append(b.records, *r)
	return true
}

// fill adds the records that are next, of one frame or from the archive, and returns whether there may be more.
func (c *Cursor) fill(b *batch) (bool, error) {
	if len(c.rest) > 0 {
		c.takeRest(b)
		return true, nil
	}
	c.p.j.mu.Lock()
	s, err := c.p.locate(c.offset, c.horizon)
	c.p.j.mu.Unlock()
	if err != nil {
		return false, err
	}
	if s.sealed != nil {
		return true, c.fillSealed(b, &s)
	}
	if len(s.at) == 0 {
		return false, nil
	}
	if err := s.load(c.p.j); err != nil {
		return false, err
	}
	if cap(b.records) == 0 {
		b.records = make([]Record, 0, min(len(s.at), b.left/recordWeight+1))
	}
	for i := range s.at {
		r, err := s.record(i)
		if err != nil {
			return false, fmt.Errorf("offset %d: %w", s.first+int64(i), err)
		}
		if !b.add(&r) {
			break
		}
		c.offset = r.Offset + 1
	}
	return s.more, nil
}

func (c *Cursor) fillSealed(b *batch, s *span) error {
	defer s.sealed.release()
	records, next, err := s.sealed.read(c.p, c.offset, s.before)
	if err != nil {
		c.p.j.reportDamage(err)
		return err
	}
	if c.rest = records; len(records) == 0 {
		c.offset = next
	}
	c.takeRest(b)
	return nil
}

// takeRest adds what was read from the archive, as far as it fits.
func (c *Cursor) takeRest(b *batch) {
	for len(c.rest) > 0 && b.add(&c.rest[0]) {
		c.offset = c.rest[0].Offset + 1
		c.rest = c.rest[1:]
	}
}

// at returns the record at an offset in the tail files, false if there is none.
func (c *Cursor) at(offset int64) (Record, bool) {
	c.offset, c.rest = offset, nil
	records, err := c.Try(1)
	if err != nil || len(records) == 0 {
		return Record{}, false
	}
	return records[0], true
}

// Wake returns a channel that is closed when Try may return something, an error too. It is closed at once if something
// came after the last Try, so whoever tries first and then waits misses nothing.
func (c *Cursor) Wake() <-chan struct{} {
	p := c.p
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	if c.offset < p.end[c.horizon] || p.j.readable() != nil {
		return closed
	}
	if p.wake[c.horizon] == nil {
		p.wake[c.horizon] = make(chan struct{})
	}
	return p.wake[c.horizon]
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
