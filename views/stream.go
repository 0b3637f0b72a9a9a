package views

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// Changes tells of the rows of one table as they are written, to many readers at once. Its methods may be called at
// once from anywhere.
//
// It remembers the last of them for as long as anyone reads, all readers together: one who is slow costs nothing,
// holds up nobody, and is left behind.
type Changes struct {
	topic string
	conn  broker.Broker
	waits func() error
	show  func(key string, row []byte) []byte
	slots chan struct{} // each lets one reader at a time ask the broker
	most  int           // how many changes are remembered

	mu      sync.Mutex // guards what follows, and is held for moments only
	readers int
	recent  []*Change
	first   uint64        // the number of recent[0]; each change has the next one
	weight  int           // of recent, in bytes
	came    chan struct{} // closed when the next change comes; nil while nobody waits for it
}

// Change is one row that was written.
type Change struct {
	Key       string
	Partition int32
	Offset    int64 // in the changelog

	row  []byte // nil if it was older than the one that was there: a stale owner's, which nobody is to see
	show func(key string, row []byte) []byte
	once sync.Once
	text []byte
}

// Text returns the row as whoever made the Changes shows it, nil if it is not to be shown. It is made once for all
// readers, who must not change it.
func (c *Change) Text() []byte {
	c.once.Do(func() {
		if c.row != nil {
			c.text = c.show(c.Key, c.row)
		}
	})
	return c.text
}

// How much is remembered for readers, whichever is reached first. A reader that is further behind than that is cut off.
const (
	keepChanges = 4096
	keepBytes   = 8 << 20
)

// maxAsking is how many readers of a table may ask the broker at the same time, each with a client of its own.
const maxAsking = 8

// Errors of readers.
var (
	// ErrGone says that the changelog no longer has what came after a position, or never had the position.
	ErrGone = errors.New("the changelog does not have what comes after this position")
	// ErrBehind says that a reader was too slow. It may begin again at its position.
	ErrBehind = errors.New("the reader is too far behind")
)

// Changes returns the changes of the table. show makes the text of a row; it returns nil for one that nobody is to
// see, and is called by readers.
func (t *Table[S]) Changes(show func(key string, row Row[S]) []byte) *Changes {
	c := &Changes{topic: t.name, conn: t.conn, waits: t.waits, slots: make(chan struct{}, maxAsking), most: keepChanges}
	c.show = func(key string, data []byte) []byte {
		head, state, err := t.decode(data)
		if err != nil {
			t.log.Error("a row does not decode", "error", err)
			return nil
		}
		return show(key, Row[S]{Head: head, State: state, Found: true})
	}
	t.feed.listen(c.add)
	return c
}

// add remembers a change and wakes who waits for it. It never blocks: the view stands still for as long.
func (c *Changes) add(told arrival) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.readers == 0 {
		return
	}
	// What was received belongs to a whole fetch, which must not be kept in memory for the sake of one row.
	change := &Change{Key: told.key, Partition: told.partition, Offset: told.offset, row: bytes.Clone(told.row), show: c.show}
	c.recent = append(c.recent, change)
	for c.weight += change.weight(); len(c.recent) > c.most || c.weight > keepBytes && len(c.recent) > 1; {
		c.weight -= c.recent[0].weight()
		c.recent[0], c.recent = nil, c.recent[1:]
		c.first++
	}
	if c.came != nil {
		close(c.came)
		c.came = nil
	}
}

// weight is what a change may take up, with its text, which is about as long as its row.
func (c *Change) weight() int { return 2*len(c.row) + len(c.Key) }

// join counts a reader in or out. With the last of them goes what was remembered.
func (c *Changes) join(readers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.readers += readers; c.readers == 0 {
		c.first += uint64(len(c.recent))
		c.recent, c.weight = nil, 0
	}
}

// end is the number that the next change will have.
func (c *Changes) end() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first + uint64(len(c.recent))
}

// after returns the changes from a number on, or a channel that is closed when there are some. ok is false when they
// are no longer remembered.
func (c *Changes) after(number uint64) (changes []*Change, came <-chan struct{}, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number < c.first {
		return nil, nil, false
	}
	if changes = slices.Clone(c.recent[number-c.first:]); len(changes) > 0 {
		return changes, nil, true
	}
	if c.came == nil {
		c.came = make(chan struct{})
	}
	return nil, c.came, true
}

// asking runs f with a client when a slot is free.
func (c *Changes) asking(ctx context.Context, f func() error) error {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.slots }()
	return f()
}

// bounds asks where each partition of the changelog begins and ends.
func (c *Changes) bounds(ctx context.Context) (starts, ends []int64, err error) {
	err = c.asking(ctx, func() error {
		from, err1 := c.conn.Starts(ctx, c.topic)
		to, err2 := c.conn.Ends(ctx, c.topic)
		starts, ends = inOrder(from), inOrder(to)
		return errors.Join(err1, err2)
	})
	return starts, ends, err
}

// inOrder returns the offsets of a topic's partitions by their numbers.
func inOrder(listed map[broker.TopicPartition]int64) []int64 {
	offsets := make([]int64, len(listed))
	for p, o := range listed {
		if int(p.Partition) < len(offsets) {
			offsets[p.Partition] = o
		}
	}
	return offsets
}

// Reader reads the changes of a table. It is for one goroutine.
type Reader struct {
	of     *Changes
	next   []int64 // of each partition, the offset that comes next
	ends   []int64 // up to where the changelog is read; from there on, what is remembered follows
	cursor uint64  // the number of the remembered change that comes next
	live   bool    // it has been where the table is
}

// Open returns a reader of what comes after a position, which is the next offset of each partition; without one, of
// what is written from now on. Close ends it. The error is an *ErrRecovering, ErrGone, or the broker's.
func (c *Changes) Open(ctx context.Context, position []int64) (*Reader, error) {
	if err := c.waits(); err != nil {
		return nil, err
	}
	r := &Reader{of: c, next: slices.Clone(position)}
	c.join(1)
	if err := r.bound(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// bound draws the line between what is read from the changelog and what the table will tell. It asks for the ends
// after it has the cursor: what lies behind the ends is written later, and so told later, and so remembered.
func (r *Reader) bound(ctx context.Context) error {
	r.cursor = r.of.end()
	starts, ends, err := r.of.bounds(ctx)
	if err != nil {
		return err
	}
	if r.next == nil {
		r.next = slices.Clone(ends)
	}
	if len(r.next) != len(ends) {
		return ErrGone
	}
	for p, next := range r.next {
		if next < starts[p] || next > ends[p] {
			return ErrGone
		}
	}
	r.ends = ends
	return nil
}

// Close ends the reader.
func (r *Reader) Close() { r.of.join(-1) }

// Position is behind everything that Next has returned. Whoever opens a reader there misses nothing, and gets nothing
// twice.
func (r *Reader) Position() []int64 { return slices.Clone(r.next) }

// Next waits for changes and returns some of them, those of one partition in their order, none twice. The error is
// ErrBehind, the broker's, or that of ctx when it ends before; in the last case the reader may go on.
func (r *Reader) Next(ctx context.Context) ([]*Change, error) {
	for {
		if missed, err := r.missed(ctx); err != nil || len(missed) > 0 {
			return missed, err
		}
		told, came, ok := r.of.after(r.cursor)
		switch {
		case !ok && r.live:
			return nil, ErrBehind
		case !ok: // more has been written meanwhile than is remembered, so it is read from the changelog too
			if err := r.bound(ctx); err != nil {
				return nil, err
			}
			continue
		}
		r.live = true
		r.cursor += uint64(len(told))
		if fresh := r.pass(told); len(fresh) > 0 {
			return fresh, nil
		}
		if came == nil {
			continue
		}
		select {
		case <-came:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// pass moves the position behind changes, and drops those that it was behind already.
func (r *Reader) pass(told []*Change) []*Change {
	return slices.DeleteFunc(told, func(c *Change) bool {
		if c.Offset < r.next[c.Partition] {
			return true
		}
		r.next[c.Partition] = c.Offset + 1
		return false
	})
}

// maxPiece is how many bytes of rows are read from the changelog at a time, for each reader that has missed some.
const maxPiece = 1 << 20

var errPiece = errors.New("enough for once")

// missed reads some of what lies before the ends, nothing if all was read.
func (r *Reader) missed(ctx context.Context) (changes []*Change, err error) {
	for p, end := range r.ends {
		if r.next[p] < end && len(changes) == 0 {
			if changes, err = r.piece(ctx, int32(p), end); err != nil {
				return nil, err
			}
		}
	}
	return r.pass(changes), nil
}

// piece reads a part of a partition, and moves the position to the end when there was nothing more.
func (r *Reader) piece(ctx context.Context, partition int32, end int64) (changes []*Change, err error) {
	size := 0
	err = r.of.asking(ctx, func() error {
		return r.of.conn.Read(ctx, r.of.topic, partition, r.next[partition], end, func(rec *kgo.Record) error {
			c := &Change{Key: string(rec.Key), Partition: partition, Offset: rec.Offset, row: rec.Value, show: r.of.show}
			changes = append(changes, c)
			if size += c.weight(); size >= maxPiece && rec.Offset+1 < end {
				return errPiece
			}
			return nil
		})
	})
	switch {
	case errors.Is(err, errPiece):
		return changes, nil
	case err != nil:
		return nil, fmt.Errorf("reading what was missed: %w", err)
	case len(changes) == 0: // the end consists of what is no row
		r.next[partition] = end
	}
	return changes, nil
}
