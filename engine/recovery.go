package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"stockflow/codecs"
)

// ErrLogCut says that a log is shorter than what its rows have taken in: it was cut, or deleted and made again.
// Going on would drop new messages as repeats, so it is refused.
var ErrLogCut = errors.New("a log is shorter than what was taken from it")

// recovery is what a lane learns while the changelog is read. It belongs to the goroutine that reads, until owned.
type recovery struct {
	owned bool            // guarded by lane.mu
	stale map[string]bool // keys whose last record is not their newest
	// How far the rows say that logs reach, to be held against how far they do.
	applied int64
	seen    map[source]int64
}

// source is a partition of a log.
type source struct {
	log       string
	partition int32
}

func (r *recovery) init() {
	r.stale, r.seen, r.applied = map[string]bool{}, map[source]int64{}, noOffset
}

// recover takes one changelog record into the store: the newer row of a key stays, whichever comes last.
func (l *lane) recover(key string, value []byte, offset int64) error {
	l.mu.Lock()
	l.next = offset + 1
	l.mu.Unlock()
	if value == nil {
		l.unstale(key)
		return l.store.Delete(key)
	}
	head, err := codecs.DecodeHead(value)
	if err != nil {
		return fmt.Errorf("the row of %q at offset %d of the changelog does not decode: %w", key, offset, err)
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
	l.unstale(key)
	return l.store.Set(key, value)
}

// restale and unstale keep the store pinned while the last record of a key is not its newest: who dies now and
// starts again from the disk must read that record again, and know.
func (l *lane) restale(key string) {
	if !l.stale[key] {
		l.stale[key] = true
		l.store.Pin()
	}
}

func (l *lane) unstale(key string) {
	if l.stale[key] {
		delete(l.stale, key)
		l.store.Unpin()
	}
}

// reach remembers the furthest offsets that rows claim to have taken in.
func (l *lane) reach(h codecs.Head) {
	l.applied = max(l.applied, h.Applied)
	for _, o := range h.Seen {
		s := source{o.Log, o.Partition}
		l.seen[s] = max(l.seen[s], o.Offset)
	}
}

// own ends the recovery: the lane may write, first the rows whose last record is not their newest.
func (l *lane) own() error {
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
