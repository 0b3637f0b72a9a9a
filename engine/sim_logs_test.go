package engine_test

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/engine"
)

// The broker of the simulation, and franz-go's client. A record that is appended is at first the leader's alone: it can
// be lost, and nobody sees it. Once it is replicated it is there for good, can be read, and can
// be acknowledged.

// stored is a record in a partition.
type stored struct {
	key     string
	value   []byte
	headers []kgo.RecordHeader
	at      int64
	by      string
	marker  bool        // a gap in the offsets, as a transaction's marker leaves one
	forged  bool        // by somebody who plays a machine
	head    codecs.Head // of a row
}

func (r stored) header(key string) []byte {
	for _, h := range r.headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}

// shelf is a partition of a topic.
type shelf struct {
	topic     string
	number    int // of the topic
	partition int32
	records   []stored
	visible   int64 // how many records are there for good
	halted    bool  // at a message that is there for good
}

// shelf returns a partition of a topic.
func (w *world) shelf(topic string, partition int32) *shelf {
	return w.shelves[topicNumbers[topic]*int(w.shape.partitions)+int(partition)]
}

// end is how far a partition can be read.
func (w *world) end(topic string, partition int32) int64 {
	return w.shelf(topic, partition).visible
}

// put appends a record and returns its offset.
func (w *world) put(s *shelf, r stored) int64 {
	w.clock++
	r.at = w.clock
	s.records = append(s.records, r)
	return int64(len(s.records)) - 1
}

// replicate makes the next record of some partition durable, and visible.
func (w *world) replicate() bool {
	s := pick(w, w.shelves, func(s *shelf) bool { return s.visible < int64(len(s.records)) })
	if s == nil {
		return false
	}
	s.visible++
	w.note("%s/%d has offset %d for good", s.topic, s.partition, s.visible-1)
	w.oracle.saw(s, s.visible-1)
	return true
}

// cut loses a suffix of what is not replicated yet. The clients that sent it, and live, send it again.
func (w *world) cut(s *shelf) {
	keep := s.visible + int64(w.rnd.IntN(len(s.records)-int(s.visible)+1))
	if keep == int64(len(s.records)) {
		return
	}
	w.count("records lost before they were acknowledged")
	w.note("%s/%d loses what it had from offset %d on", s.topic, s.partition, keep)
	s.records = s.records[:keep]
	// What follows in a line whose first records are lost is refused, being out of its sequence.
	w.ghosts = slices.DeleteFunc(w.ghosts, func(l *line) bool { return l.shelf == s })
	for _, c := range w.clients() {
		if l := c.lines[s]; l != nil {
			for _, p := range l.queue {
				if p.offset >= keep {
					p.offset = -1
				}
			}
		}
	}
}

// client is a franz-go client: for each partition a line of records, of which the first are on their way. It blocks
// those who produce while its buffer is full, and is frozen for ever by a promise of its own that does.
type client struct {
	w         *world
	name      string
	limit     int
	lines     map[*shelf]*line
	order     []*line // the same, in the order in which they came to be
	buffered  int
	promising bool // a promise is running
	closed    bool
}

type line struct {
	client *client
	shelf  *shelf
	queue  []*posted
}

// posted is a record with its promise.
type posted struct {
	record  *kgo.Record
	promise func(*kgo.Record, error)
	offset  int64 // -1 until it is appended
	lost    bool  // its acknowledgement was, and it is asked for again
}

func (w *world) newClient(name string, limit int) *client {
	return &client{w: w, name: name, limit: limit, lines: map[*shelf]*line{}}
}

func (c *client) full() bool { return c.buffered >= c.limit }

// Produce implements engine.Outlet.
func (c *client) Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	for c.full() {
		if c.promising {
			c.w.fail("a promise of %s produces while the buffer is full: the client is frozen", c.name)
		}
		c.w.block(c)
		if ctx.Err() != nil {
			promise(r, ctx.Err())
			return
		}
	}
	if c.closed {
		promise(r, kgo.ErrClientClosed)
		return
	}
	s := c.w.shelf(r.Topic, r.Partition)
	l := c.lines[s]
	if l == nil {
		l = &line{client: c, shelf: s}
		c.lines[s] = l
		c.order = append(c.order, l)
	}
	l.queue = append(l.queue, &posted{record: r, promise: promise, offset: -1})
	c.buffered++
}

// resolve ends a record.
func (c *client) resolve(p *posted, err error) {
	c.promising = true
	p.record.Offset = p.offset
	p.promise(p.record, err)
	c.promising = false
	c.buffered--
}

// unsent returns the first record of a line that is not appended.
func (l *line) unsent() *posted {
	for _, p := range l.queue {
		if p.offset < 0 {
			return p
		}
	}
	return nil
}

// appendNext has the log take the next record of some client.
func (w *world) appendNext() bool {
	l := w.someLine(func(l *line) bool { return l.unsent() != nil })
	if l == nil {
		return false
	}
	p := l.unsent()
	r := stored{key: string(p.record.Key), value: p.record.Value, headers: p.record.Headers, by: l.client.name}
	if l.shelf.number >= len(specs) && l.shelf.topic != engine.DeadLetters && r.header(codecs.HeaderTaken) == nil {
		w.count("rows written again, as a repair")
	}
	w.oracle.sent(l.shelf, &r)
	p.offset = w.put(l.shelf, r)
	w.note("%s/%d takes %s from %s at offset %d", l.shelf.topic, l.shelf.partition, w.describe(l.shelf, r), l.client.name, p.offset)
	return true
}

// acknowledge lets the first record of some line be acknowledged, or loses the acknowledgement.
func (w *world) acknowledge() bool {
	l := w.someLine(func(l *line) bool {
		return len(l.queue) > 0 && l.queue[0].offset >= 0 && l.queue[0].offset < l.shelf.visible
	})
	if l == nil {
		return false
	}
	p := l.queue[0]
	if !p.lost && w.rnd.IntN(12) == 0 && !w.resting {
		p.lost = true // the client asks again, and is told that the log has it
		w.count("acknowledgements lost")
		w.note("the acknowledgement of %s/%d offset %d is lost", l.shelf.topic, l.shelf.partition, p.offset)
		return true
	}
	w.note("%s/%d offset %d is acknowledged to %s", l.shelf.topic, l.shelf.partition, p.offset, l.client.name)
	l.queue = l.queue[1:]
	l.client.resolve(p, nil)
	return true
}

var errRefused = errors.New("the broker refuses it for good")

// refuse fails all records of a line, as a client does at an error that no retry mends.
func (w *world) refuse() bool {
	l := w.someLine(func(l *line) bool { return len(l.queue) > 0 })
	if l == nil {
		return false
	}
	w.count("records refused for good")
	w.note("%s gives up what it has for %s/%d", l.client.name, l.shelf.topic, l.shelf.partition)
	queue := l.queue
	l.queue = nil
	for _, p := range queue {
		l.client.resolve(p, errRefused)
	}
	return true
}

// Close implements engine.Outlet. What was on its way may still arrive.
func (c *client) Close() {
	if c.closed {
		return
	}
	c.closed = true
	c.w.leaveGhosts(c)
	for _, l := range c.order {
		queue := l.queue
		l.queue = nil
		for _, p := range queue {
			c.resolve(p, kgo.ErrClientClosed)
		}
	}
}

// leaveGhosts notes what of a client, which is no more, may still arrive: of each line some first part.
func (w *world) leaveGhosts(c *client) {
	for _, l := range c.order {
		var rest []*posted
		for _, p := range l.queue {
			if p.offset < 0 {
				rest = append(rest, p)
			}
		}
		if n := w.rnd.IntN(len(rest) + 1); n > 0 {
			dead := &client{w: w, name: "the late " + c.name}
			w.ghosts = append(w.ghosts, &line{client: dead, shelf: l.shelf, queue: rest[:n]})
		}
	}
}

// haunt lets a record of a client that is no more arrive, or never.
func (w *world) haunt() bool {
	if len(w.ghosts) == 0 {
		return false
	}
	i := w.rnd.IntN(len(w.ghosts))
	l := w.ghosts[i]
	p := l.queue[0]
	r := stored{key: string(p.record.Key), value: p.record.Value, headers: p.record.Headers, by: l.client.name}
	w.oracle.sent(l.shelf, &r)
	offset := w.put(l.shelf, r)
	w.count("records of the dead that arrived")
	w.note("%s/%d takes %s from %s at offset %d", l.shelf.topic, l.shelf.partition, w.describe(l.shelf, r), l.client.name, offset)
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		w.ghosts = append(w.ghosts[:i], w.ghosts[i+1:]...)
	}
	return true
}

// someLine picks a line of a living client.
func (w *world) someLine(fit func(*line) bool) *line {
	var fits []*line
	for _, c := range w.clients() {
		for _, l := range c.order {
			if fit(l) {
				fits = append(fits, l)
			}
		}
	}
	return pick(w, fits, nil)
}

// clients are those of the living, in their order.
func (w *world) clients() (all []*client) {
	for _, p := range w.processes {
		for _, m := range p.members {
			if m != nil {
				all = append(all, m.client, m.letters)
			}
		}
	}
	return all
}

func (w *world) incoming(s *shelf, offset int64) (engine.Record, map[string][]byte) {
	r := s.records[offset]
	headers := make(map[string][]byte, len(r.headers))
	for _, h := range r.headers {
		headers[h.Key] = h.Value
	}
	return engine.Record{Partition: s.partition, Offset: offset, At: r.at, Key: r.key, Value: r.value,
		Origin: headers[codecs.HeaderOrigin], Redrive: headers[codecs.HeaderRedrive]}, headers
}

func sameHeaders(a, b []kgo.RecordHeader) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Key != b[i].Key || !bytes.Equal(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}
