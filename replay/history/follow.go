package history

import (
	"cmp"
	"context"
	"errors"
	"time"

	"stockflow/broker"
	"stockflow/engine"
)

// A follower that lost its broker or its disk tries again after so long.
const (
	againFirst = 100 * time.Millisecond
	againMost  = 2 * time.Second
)

// Run follows the logs until ctx ends, and begins anew whenever something breaks.
func (h *History) Run(ctx context.Context) error {
	h.mu.Lock()
	h.begun = make(chan struct{})
	h.mu.Unlock()
	for wait := againFirst; ; wait = min(2*wait, againMost) {
		began := time.Now()
		err := h.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > againMost {
			wait = againFirst
		}
		h.log.Warn("the history is opened again", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// follow opens all annals and reads the logs into them until something breaks.
func (h *History) follow(ctx context.Context) (err error) {
	ctx, broken := context.WithCancelCause(ctx)
	defer broken(nil)
	conn, forget, err := h.conn.Keep()
	if err != nil {
		return err
	}
	defer forget()
	defer func() { err = errors.Join(err, h.close()) }()
	from, err := h.open(ctx, conn)
	if err != nil {
		return err
	}
	h.begin(conn, broken)
	defer h.end()
	follower, err := conn.Follow(from)
	if err != nil {
		return err
	}
	defer follower.Close()
	for {
		batches, err := follower.Poll(ctx)
		if err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		for _, b := range batches {
			if err := h.takeIn(b); err != nil {
				return err
			}
		}
		if !behind(batches) {
			h.gather(ctx)
		}
	}
}

func (h *History) takeIn(b broker.Batch) error {
	if b.Topic != engine.DeadLetters {
		return h.annals[b.Topic][b.Partition].take(b.Records)
	}
	for _, all := range h.annals {
		if err := all[b.Partition].addDeadLetters(b.Records); err != nil {
			return err
		}
	}
	return nil
}

// gatherTime is how long a follower that has read everything lets records gather: writing a few takes almost as long as
// writing many.
const gatherTime = 100 * time.Millisecond

// gather waits until there may be records worth writing, or until somebody waits for them.
func (h *History) gather(ctx context.Context) {
	select {
	case <-time.After(h.gathering):
	case <-h.wanted:
	case <-ctx.Done():
	}
}

// hurry ends the gathering of now, or else the next.
func (h *History) hurry() {
	select {
	case h.wanted <- struct{}{}:
	default: // it has been told
	}
}

// behindBytes is how much a follower finds on one partition when it does not keep up, or has a log to read from its beginning.
const behindBytes = 128 << 10

// behind reports whether there is likely more to read already.
func behind(batches []broker.Batch) bool {
	for _, b := range batches {
		size := 0
		for _, r := range b.Records {
			if size += len(r.Key) + len(r.Value); size >= behindBytes {
				return true
			}
		}
	}
	return false
}
