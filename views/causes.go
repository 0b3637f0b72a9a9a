package views

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"stockflow/codecs"
	"stockflow/processors"
)

// causes remembers what the messages that the tables took in have sent, so that a write can be followed to
// everything that came of it. It learns that from the header `taken` of the changelog records.
//
// It remembers the last maxRemembered messages and outputs that this process has read; of older ones it can't say
// what they sent, and says so.
type causes struct {
	mu      sync.Mutex // guards what follows, and is held while a row and what it took in are put in their places
	effects map[codecs.Origin]*effect
	ring    []*effect // the same, oldest first
	weight  int       // of ring
	waiting map[codecs.Origin][]chan struct{}
}

// effect is a message that a table has taken in.
type effect struct {
	codecs.Taken
	at codecs.Origin // its own place in its log, as whole
}

// whole is the index of a message itself, where an origin has that of one of its outputs.
const whole = -1

// maxRemembered bounds the memory: at some 100 bytes each, a few MiB.
const maxRemembered = 100_000

// ErrExpired says that a write was taken in, but it is no longer known what it caused.
var ErrExpired = errors.New("what followed from the write is no longer known")

// Lagging says which consequence of a write a view had not taken in when the wait ended.
type Lagging struct {
	Log   string        // which is to take it in
	Cause codecs.Origin // what it is caused by; an Index of -1 is the write itself
}

func (l *Lagging) Error() string {
	if l.Cause.Index == whole {
		return fmt.Sprintf("the write itself, %s/%d/%d, has not been taken in", l.Cause.Log, l.Cause.Partition, l.Cause.Offset)
	}
	return fmt.Sprintf("%s has not taken in what message %s/%d/%d caused", l.Log, l.Cause.Log, l.Cause.Partition, l.Cause.Offset)
}

func newCauses() *causes {
	return &causes{effects: map[codecs.Origin]*effect{}, waiting: map[codecs.Origin][]chan struct{}{}}
}

// place puts a row in its place with set, and then what went into it: nobody sees the one without the other.
func (c *causes) place(log string, partition int32, taken []codecs.Taken, set func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := set(); err != nil {
		return err
	}
	for _, t := range taken {
		e := &effect{t, codecs.Origin{Log: log, Partition: partition, Offset: t.Offset, Index: whole}}
		for _, name := range e.names() {
			c.effects[name] = e
			for _, ch := range c.waiting[name] {
				close(ch)
			}
			delete(c.waiting, name)
		}
		c.ring = append(c.ring, e)
		c.weight += 1 + len(t.Sent)
	}
	c.forget()
	return nil
}

// names are what an effect may be asked for by: its own place, and what caused it.
func (e *effect) names() []codecs.Origin {
	if e.Origin == nil {
		return []codecs.Origin{e.at}
	}
	return []codecs.Origin{e.at, *e.Origin}
}

// forget drops the oldest. The caller holds mu.
func (c *causes) forget() {
	for c.weight > maxRemembered {
		e := c.ring[0]
		c.ring[0], c.ring = nil, c.ring[1:]
		c.weight -= 1 + len(e.Sent)
		for _, name := range e.names() {
			if c.effects[name] == e {
				delete(c.effects, name)
			}
		}
	}
}

// look returns the effect of that name, or a channel that is closed when it comes. has tells from the row whether the
// message was taken in; if it was, and the effect is not known, it will never come.
func (c *causes) look(name codecs.Origin, has func() (bool, error)) (*effect, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.effects[name]; e != nil {
		return e, nil, nil
	}
	switch old, err := has(); {
	case err != nil:
		return nil, nil, err
	case old:
		return nil, nil, ErrExpired
	}
	ch := make(chan struct{})
	c.waiting[name] = append(c.waiting[name], ch)
	return nil, ch, nil
}

// leave takes back a wait that has ended without what it waited for.
func (c *causes) leave(name codecs.Origin, ch <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := slices.DeleteFunc(c.waiting[name], func(w chan struct{}) bool { return w == ch })
	if c.waiting[name] = left; len(left) == 0 {
		delete(c.waiting, name)
	}
}

// pending is a message that is to be taken in by the row of key in the table of log.
type pending struct {
	name     codecs.Origin
	log, key string
}

// Follow waits until the table of the log target has taken in the message at offset of a partition of a log, whose
// key is key, and everything that followed from it up to that table. The error is ErrExpired, an *ErrRecovering, or,
// when ctx ends before, a *Lagging.
func (t *Tables) Follow(ctx context.Context, log string, partition int32, offset int64, key, target string) error {
	open := []pending{{codecs.Origin{Log: log, Partition: partition, Offset: offset, Index: whole}, log, key}}
	for len(open) > 0 {
		p := open[len(open)-1]
		open = open[:len(open)-1]
		e, err := t.await(ctx, p)
		if err != nil {
			return err
		}
		for i, s := range e.Sent {
			if leads(s.Log, target) {
				name := codecs.Origin{Log: e.at.Log, Partition: e.at.Partition, Offset: e.at.Offset, Index: int32(i)}
				open = append(open, pending{name, s.Log, s.Key})
			}
		}
	}
	return nil
}

// await waits until a message was taken in.
func (t *Tables) await(ctx context.Context, p pending) (*effect, error) {
	table := t.of(p.log)
	if table == nil {
		return nil, fmt.Errorf("there is no table of the log %q", p.log)
	}
	for {
		e, came, err := t.causes.look(p.name, func() (bool, error) { return table.hasTaken(p.key, p.name) })
		if err != nil || e != nil {
			return e, err
		}
		select {
		case <-came:
		case <-ctx.Done():
			t.causes.leave(p.name, came)
			return nil, &Lagging{Log: p.log, Cause: p.name}
		}
	}
}

// of returns the table that a log is folded into, nil if there is none here.
func (t *Tables) of(log string) follower {
	for _, table := range t.all() {
		if table.logName() == log {
			return table
		}
	}
	return nil
}

// arrows are the logs that each log's machine sends to.
var arrows = map[string][]string{
	processors.OrderEvents:     processors.Order(nil).Sends,
	processors.InventoryEvents: processors.Inventory(nil).Sends,
	processors.ShipmentEvents:  processors.Shipment(nil).Sends,
}

// leads reports whether messages of one log can have consequences in another.
func leads(from, to string) bool {
	seen := map[string]bool{}
	for open := []string{from}; len(open) > 0; {
		log := open[0]
		open = open[1:]
		if log == to {
			return true
		}
		if !seen[log] {
			seen[log] = true
			open = append(open, arrows[log]...)
		}
	}
	return false
}

// hasTaken reports whether the row of key says that it has taken in a message, or the output that an origin names.
func (t *Table[S]) hasTaken(key string, name codecs.Origin) (bool, error) {
	data, err := t.read(key)
	if err != nil || data == nil {
		return false, err
	}
	head, err := codecs.DecodeHead(data)
	if err != nil {
		return false, err
	}
	if name.Index == whole {
		return head.Applied >= name.Offset, nil
	}
	for _, s := range head.Seen {
		if s.Log == name.Log && s.Partition == name.Partition {
			return s.Offset > name.Offset || s.Offset == name.Offset && s.Index >= name.Index, nil
		}
	}
	return false, nil
}

// logName is the log that the table is the fold of.
func (t *Table[S]) logName() string { return t.folds }
