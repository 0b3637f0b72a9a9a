package journal

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// What those who use the journal do.

func (w *world) commit() {
	tp, ok := w.somewhere()
	if !ok {
		return
	}
	_, end := w.j.Partition(tp.Topic, tp.Partition).Bounds(Appended)
	w.made++
	e := told{call: w.made, group: fmt.Sprintf("group %d", w.rng.IntN(2)), offsets: map[TopicPartition]Committed{
		tp: {Offset: w.rng.Int64N(end + 1), Metadata: fmt.Sprint(w.made)},
	}}
	j := w.j
	w.call(func() func() {
		at, err := j.Commit(e.group, e.offsets)
		return func() {
			if err != nil {
				w.failed("commit", err)
				return
			}
			w.stats.entries++
			e.at = at - 1
			w.wrong(w.truth.add(e))
		}
	})
}

func (w *world) createTopic() {
	if len(w.j.Topics()) >= 4 {
		return
	}
	w.made++
	name, kind, n := fmt.Sprintf("topic %d", w.made), Kind(1+w.rng.IntN(2)), 1+w.rng.Int32N(3)
	j := w.j
	w.call(func() func() {
		t, err := j.CreateTopic(name, kind, n)
		return func() {
			if err != nil {
				w.failed("create topic", err)
				return
			}
			w.truth.topics[name] = t
		}
	})
}

// client is an idempotent producer to one partition. It outlives the journal.
type client struct {
	id   int64
	tp   TopicPartition
	busy bool
	sent []sentBatch
}

type sentBatch struct {
	sequence int32
	records  []Record
	first    int64
	at       Position
}

// keepProducers forgets what producers have sent and the power took.
func (w *world) keepProducers() {
	var left []*client
	for _, c := range w.producers {
		c.sent = slices.DeleteFunc(c.sent, func(b sentBatch) bool {
			i := w.truth.search(b.at - 1)
			return i == len(w.truth.entries)
		})
		if w.j.Partition(c.tp.Topic, c.tp.Partition) != nil {
			left = append(left, c)
		}
	}
	w.producers = left
}

// produce lets an idempotent producer send a batch, or one that it has sent already.
func (w *world) produce() {
	if len(w.producers) < 2 {
		w.newProducer()
		return
	}
	c := w.producers[w.rng.IntN(len(w.producers))]
	switch {
	case c.busy:
	case len(c.sent) > 0 && w.rng.IntN(2) == 0:
		w.sendAgain(c)
	default:
		w.send(c)
	}
}

func (w *world) newProducer() {
	tp, ok := w.somewhere()
	if !ok {
		return
	}
	j := w.j
	w.call(func() func() {
		id, err := j.NewProducerID()
		return func() {
			if err != nil {
				w.failed("give out a producer id", err)
				return
			}
			if w.truth.ids[id] {
				w.wrong(fmt.Errorf("producer id %d was given out before", id))
			}
			w.truth.ids[id] = true
			w.producers = append(w.producers, &client{id: id, tp: tp})
		}
	})
}

func (w *world) send(c *client) {
	batch := sentBatch{records: w.records()}
	if n := len(c.sent); n > 0 {
		batch.sequence = c.sent[n-1].sequence + int32(len(c.sent[n-1].records))
	}
	p := w.j.Partition(c.tp.Topic, c.tp.Partition)
	c.busy = true
	w.call(func() func() {
		first, at, err := p.AppendFrom(ProducerBatch{c.id, 0, batch.sequence}, batch.records...)
		return func() {
			c.busy = false
			w.appended(c.tp, batch.records, first, at, err)
			if err == nil {
				batch.first, batch.at = first, at
				c.sent = append(c.sent, batch)
			}
		}
	})
}

// sendAgain sends the last batch of a producer, which must be known for what it is.
func (w *world) sendAgain(c *client) {
	batch := c.sent[len(c.sent)-1]
	p := w.j.Partition(c.tp.Topic, c.tp.Partition)
	c.busy = true
	w.call(func() func() {
		first, at, err := p.AppendFrom(ProducerBatch{c.id, 0, batch.sequence}, batch.records...)
		return func() {
			c.busy = false
			if err != nil && !errors.Is(err, ErrDuplicate) {
				w.failed("send again", err)
			} else if err == nil || first != batch.first || at != batch.at {
				w.wrong(fmt.Errorf("what is at %v %d was sent again: got %d, %w", c.tp, batch.first, first, err))
			}
		}
	})
}

// look reads on in a partition, at the durable horizon, and compares what the other one shows.
func (w *world) look() {
	tp, ok := w.somewhere()
	if !ok {
		return
	}
	c := w.cursors[tp]
	p := w.j.Partition(tp.Topic, tp.Partition)
	if c == nil {
		c = p.Follow(0, Durable)
		w.cursors[tp] = c
	}
	rs, err := c.Try(1 + w.rng.IntN(3000))
	if err != nil {
		w.failed("follow", err)
	}
	for _, r := range rs {
		w.wrong(w.truth.seen(tp, r))
	}
	for group := range w.truth.groups() {
		w.seeCommits(group)
	}
	w.truth.promise(w.j.Durable())
	if _, end := p.Bounds(Durable); end < c.Offset() {
		w.wrong(fmt.Errorf("%v ends at %d, and was read to %d", tp, end, c.Offset()))
	}
}

// readOn lets those who follow a partition be at its end, or go.
func (w *world) readOn() {
	clear(w.cursors)
	for _, t := range w.j.Topics() {
		for n := range t.Partitions {
			p := w.j.Partition(t.Name, n)
			w.j.mu.Lock()
			p.followers = nil // without a collection of garbage, which takes longer than all the rest
			w.j.mu.Unlock()
			if _, end := p.Bounds(Durable); w.rng.IntN(2) == 0 {
				w.cursors[TopicPartition{t.Name, n}] = p.Follow(end, Durable)
			}
		}
	}
}

func (t *truth) groups() map[string]bool {
	all := make(map[string]bool)
	for _, e := range t.entries {
		if e.record == nil {
			all[e.group] = true
		}
	}
	return all
}

// seeCommits promises what somebody outside sees of a group.
func (w *world) seeCommits(group string) {
	for tp, c := range w.j.Committed(group, Durable) {
		at := Position(math.MaxInt64)
		for _, e := range w.truth.entries {
			if e.group == group && e.offsets[tp] == c {
				at = e.at
			}
		}
		if at == math.MaxInt64 {
			w.wrong(fmt.Errorf("group %s has committed %v of %v, which it never has", group, c, tp))
			return
		}
		w.truth.promise(at + 1)
	}
}
