package engine

import (
	"fmt"
	"maps"
	"slices"

	"stockflow/codecs"
)

// recovery is what a worker learns while the changelog is read. It belongs to the goroutine that reads, until owned.
type recovery struct {
	owned bool            // guarded by worker.mu
	stale map[string]bool // keys whose last record is not their newest
	// unread are the keys of which a record does not decode, with what is wrong with it. Whether it was the newest is not
	// known until one follows that is.
	unread map[string]error
	// How far the rows say that logs reach, to be held against how far they do.
	applied int64
	seen    map[source]int64
}

// source is a partition of a log.
type source struct {
	log       string
	partition int32
}

func (s source) String() string { return fmt.Sprintf("%s/%d", s.log, s.partition) }

func (r *recovery) init() {
	r.stale, r.unread, r.seen, r.applied = map[string]bool{}, map[string]error{}, map[source]int64{}, noOffset
}

// recover takes one changelog record into the store: the newer row of a key stays, whichever comes last.
func (l *worker) recover(key string, value []byte, offset int64) error {
	l.mu.Lock()
	l.next = offset + 1
	l.mu.Unlock()
	if value == nil {
		l.readable(key)
		l.unstale(key)
		return l.store.Delete(key)
	}
	head, err := codecs.DecodeHead(value)
	if err != nil {
		l.unreadable(key, fmt.Errorf("the row of %q at offset %d of the changelog does not decode: %w; stockflow replay makes it anew from the log", key, offset, err))
		return nil
	}
	l.reach(head)
	old, err := l.store.Get(key)
	if err != nil {
		return err
	}
	if old != nil {
		oldHead, err := codecs.DecodeHead(old)
		if err != nil {
			return fmt.Errorf("the row of %q in the store does not decode: %w", key, err)
		}
		if oldHead.Newer(head) {
			l.restale(key)
			return nil
		}
	}
	l.readable(key)
	l.unstale(key)
	return l.store.Set(key, value)
}

// unreadable and readable keep the store pinned while a record that does not decode may be a key's newest.
func (l *worker) unreadable(key string, why error) {
	if l.unread[key] == nil {
		l.store.Pin()
	}
	l.unread[key] = why
}

func (l *worker) readable(key string) {
	if l.unread[key] != nil {
		delete(l.unread, key)
		l.store.Unpin()
	}
}

// restale and unstale keep the store pinned while the last record of a key is not its newest: who dies now and
// starts again from the disk must read that record again, and know.
func (l *worker) restale(key string) {
	if !l.stale[key] {
		l.stale[key] = true
		l.store.Pin()
	}
}

func (l *worker) unstale(key string) {
	if l.stale[key] {
		delete(l.stale, key)
		l.store.Unpin()
	}
}

// reach remembers the furthest offsets that rows claim to have taken in.
func (l *worker) reach(h codecs.Head) {
	l.applied = max(l.applied, h.Applied)
	for _, o := range h.Seen {
		s := source{o.Log, o.Partition}
		l.seen[s] = max(l.seen[s], o.Offset)
	}
}

// claims are the furthest offsets that the newest rows of the worker claim to have taken in: those that reach has
// remembered may be claims of rows that a replay has replaced.
func (l *worker) claims() error {
	rows, err := l.store.Iterator()
	if err != nil {
		return err
	}
	defer rows.Release()
	l.applied, l.seen = noOffset, map[source]int64{}
	for rows.Next() {
		value, err := rows.Value()
		if err != nil {
			return err
		}
		head, err := codecs.DecodeHead(value)
		if err != nil {
			return fmt.Errorf("the row of %q in the store does not decode: %w", rows.Key(), err)
		}
		l.reach(head)
	}
	return rows.Err()
}

// own ends the recovery: the worker may write, first the rows whose last record is not their newest.
func (l *worker) own() error {
	for _, key := range slices.Sorted(maps.Keys(l.unread)) {
		return l.unread[key]
	}
	l.store.Own()
	l.mu.Lock()
	if offset, _ := l.store.GetOffset(noOffset); l.next <= offset {
		l.next = offset + 1
	}
	l.owned = true
	l.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(l.stale)) {
		if err := l.repair(key); err != nil {
			return err
		}
	}
	l.stale = nil
	return nil
}
