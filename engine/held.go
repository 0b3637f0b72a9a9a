package engine

import "github.com/twmb/franz-go/pkg/kgo"

// held is a row on its way into the changelog.
type held struct {
	key   string
	row   row  // the setting, of a row that a message has set
	set   *row // the store's, nil when the changelog has had the row before
	value []byte
	taken []byte // the header taken: what went into the row, over all rows that it replaced
	need  int64  // the sequence number that the outputs must have reached

	// What is sent belongs to who sends it.
	record kgo.Record
	header [1]kgo.RecordHeader

	// The worker's mu guards what follows.

	done     []func(error) // told when the changelog has the row, or why it has not
	by       *held         // the newer row of the key that has taken its place
	settled  bool          // the changelog has the row, or err says why it has not
	err      error
	outdated bool // a newer row was adopted while this one was on its way
}

// resolve tells those who wait for a row that it is in no changelog, as far as is known.
func (l *worker) resolve(h *held, err error) {
	l.mu.Lock()
	done := h.settle(err)
	l.mu.Unlock()
	for _, done := range done {
		done(err)
	}
}

// settle notes what has come of a row, and returns who is to be told. The caller holds mu.
func (h *held) settle(err error) []func(error) {
	done := h.done
	h.settled, h.err, h.done = true, err, nil
	return done
}

// has reports whether the changelog has a row that was held, or one that took its place.
func (l *worker) has(h *held) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h = h.newest()
	return h.settled && h.err == nil
}

// tell has done told when the changelog has a row that was held, or one that took its place, or why it has not.
func (l *worker) tell(h *held, done func(error)) {
	l.mu.Lock()
	h = h.newest()
	settled, err := h.settled, h.err
	if !settled {
		h.done = append(h.done, done)
	}
	l.mu.Unlock()
	if settled {
		done(err)
	}
}

// newest is the row that has taken the place of h, or h. The caller holds the worker's mu.
func (h *held) newest() *held {
	for h.by != nil {
		h = h.by
	}
	return h
}
