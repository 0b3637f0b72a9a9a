package views

import (
	"context"
	"errors"
	"fmt"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/processors"
)

// effect is a message that a table has taken in.
type effect struct {
	codecs.Taken
	at codecs.Origin // its own place in its log, as whole
}

// whole is the index of a message itself, where an origin has that of one of its outputs.
const whole = -1

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
		table := t.of(p.log)
		if table == nil {
			return fmt.Errorf("there is no table of the log %q", p.log)
		}
		e, err := table.await(ctx, p.key, p.name)
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

// await waits until the row of key has taken in a message, or the output that an origin names, and returns it.
func (t *Table[S]) await(ctx context.Context, key string, name codecs.Origin) (*effect, error) {
	partition, known, err := t.effectsOf(key)
	if err != nil {
		return nil, err
	}
	for {
		pages, came, err := known.look(key, func() (bool, error) { return t.hasApplied(key, name) })
		if came == nil {
			return t.find(pages, key, partition, name, err)
		}
		select {
		case <-came:
		case <-ctx.Done():
			known.leave(key, came)
			return nil, &Lagging{Log: t.folds, Cause: name}
		}
	}
}

// effectsOf returns the partition of key and what is remembered of it, or an *ErrRecovering before there is any.
func (t *Table[S]) effectsOf(key string) (int32, *effects, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.effects == nil {
		return 0, nil, t.waitsLocked()
	}
	partition := broker.Partition([]byte(key), int32(len(t.effects)))
	return partition, t.effects[partition], nil
}

// find looks for a message in what is remembered of its partition. If it isn't there, the error is unread, which kept
// the row from being read, or else ErrExpired.
func (t *Table[S]) find(known pages, key string, partition int32, name codecs.Origin, unread error) (*effect, error) {
	text := codecs.EncodeOrigin(name)
	for r := range known.of(key) {
		if !r.mayHave(name, text) {
			continue
		}
		for _, taken := range t.decodeTaken(key, r.taken) {
			if taken.Origin != nil && *taken.Origin == name || name.Index == whole && taken.Offset == name.Offset {
				return &effect{taken, codecs.Origin{Log: t.folds, Partition: partition, Offset: taken.Offset, Index: whole}}, nil
			}
		}
	}
	if unread != nil {
		return nil, unread
	}
	return nil, ErrExpired
}

// hasApplied reports whether the row of key says that it has taken in a message, or the output that an origin names.
func (t *Table[S]) hasApplied(key string, name codecs.Origin) (bool, error) {
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
