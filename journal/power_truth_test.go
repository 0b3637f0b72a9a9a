package journal

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"time"
)

// told is an entry that a call of the journal has said to be appended.
type told struct {
	at   Position // of the entry
	call int      // those of one call survive together

	tp     TopicPartition
	record *Record // nil for a commit

	group   string
	offsets map[TopicPartition]Committed
}

// truth is what a journal may be held to, whatever happens to its power.
type truth struct {
	entries  []told   // in the one order
	promised Position // somebody outside has been told of all before it

	gone   int    // entries that were compacted, at the last start
	now    int64  // in ms since 1970, at the last start
	id     string // "" before the journal was open once
	epoch  uint64
	topics map[string]Topic // that somebody was told of
	ids    map[int64]bool   // of producers, given out
}

func newTruth() *truth { return &truth{topics: make(map[string]Topic), ids: make(map[int64]bool)} }

// add takes an entry in. Calls are heard of in another order than that of the journal.
func (t *truth) add(e told) error {
	i := t.search(e.at)
	if i < len(t.entries) && t.entries[i].at == e.at {
		return fmt.Errorf("two entries have position %d", e.at)
	}
	t.entries = slices.Insert(t.entries, i, e)
	return nil
}

// search returns the place of the first entry that isn't before a position.
func (t *truth) search(at Position) int {
	return sort.Search(len(t.entries), func(i int) bool { return t.entries[i].at >= at })
}

// promise is called when somebody outside hears of all before a position.
func (t *truth) promise(p Position) { t.promised = max(t.promised, p) }

// seen is called with a record that somebody outside has read.
func (t *truth) seen(tp TopicPartition, r Record) error {
	for _, e := range t.entries {
		if e.record != nil && e.tp == tp && e.record.Offset == r.Offset {
			t.promise(e.at + 1)
			return sameRecord(e.record, &r)
		}
	}
	return fmt.Errorf("%v has offset %d, which was never appended", tp, r.Offset)
}

func sameRecord(want, got *Record) error {
	if want.Offset != got.Offset || want.Time != got.Time || !sameBytes(want.Key, got.Key) || !sameBytes(want.Value, got.Value) {
		return fmt.Errorf("offset %d is %d %q=%.20q, not %d %q=%.20q", want.Offset, got.Time, got.Key, got.Value, want.Time, want.Key, want.Value)
	}
	if !bytes.Equal(want.Headers.encoded, got.Headers.encoded) {
		return fmt.Errorf("offset %d has the headers %q, not %q", want.Offset, got.Headers.encoded, want.Headers.encoded)
	}
	return nil
}

// sameBytes tells nil from empty.
func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// found is what a journal has after a start.
type found struct {
	records map[TopicPartition][]Record
	ends    map[TopicPartition]int64
	commits map[string]map[TopicPartition]Committed
}

// read reads all of a journal that the horizon shows.
func read(j *Journal, h Horizon) (found, error) {
	f := found{make(map[TopicPartition][]Record), make(map[TopicPartition]int64), make(map[string]map[TopicPartition]Committed)}
	for _, t := range j.Topics() {
		for n := range t.Partitions {
			tp := TopicPartition{t.Name, n}
			start, end := j.Partition(t.Name, n).Bounds(h)
			f.ends[tp] = end
			err := j.Partition(t.Name, n).Read(context.Background(), start, math.MaxInt64, h, func(r Record) error {
				f.records[tp] = append(f.records[tp], r)
				return nil
			})
			if err != nil {
				return f, err
			}
		}
	}
	for _, g := range j.Groups() {
		if c := j.Committed(g, h); len(c) > 0 {
			f.commits[g] = c
		}
	}
	return f, nil
}

// restart holds a journal that was just opened to the truth, and forgets what the power took.
func (t *truth) restart(j *Journal, now time.Time) error {
	if t.id != "" && (j.ID() != t.id || j.Epoch() <= t.epoch) {
		return fmt.Errorf("the journal was %s in epoch %d and is %s in epoch %d", t.id, t.epoch, j.ID(), j.Epoch())
	}
	t.id, t.epoch = j.ID(), j.Epoch()
	if j.Appended() != j.Durable() {
		return fmt.Errorf("after the start %d is appended and only %d durable", j.Appended(), j.Durable())
	}
	if err := t.checkTopics(j); err != nil {
		return err
	}
	f, err := read(j, Durable)
	if err != nil {
		return err
	}
	t.now = now.UnixMilli()
	n, err := t.prefix(f)
	if err != nil {
		return err
	}
	t.entries = t.entries[:n]
	if err := t.checkTables(f); err != nil {
		return err
	}
	if n > 0 && t.entries[n-1].at >= j.Durable() {
		return fmt.Errorf("the journal ends at %d and has position %d", j.Durable(), t.entries[n-1].at)
	}
	if j.Durable() < t.promised {
		return fmt.Errorf("the journal ends at %d, and %d was promised", j.Durable(), t.promised)
	}
	t.promise(j.Durable())
	return nil
}

func (t *truth) checkTopics(j *Journal) error {
	names := make(map[string]bool)
	for _, topic := range j.Topics() {
		if before, known := t.topics[topic.Name]; known && before != topic || names[topic.Name] {
			return fmt.Errorf("topic %v was %v", topic, before)
		}
		names[topic.Name] = true
		t.topics[topic.Name] = topic // whoever asks is told of it now
	}
	for name := range t.topics {
		if !names[name] {
			return fmt.Errorf("topic %s is gone", name)
		}
	}
	return nil
}

// prefix returns how many entries are left, if those are the first of them, and nothing else is there.
func (t *truth) prefix(f found) (int, error) {
	t.gone = 0
	left, lost := 0, len(t.entries) // behind the last record that is there, and before the first that isn't
	records := 0
	for i, e := range t.entries {
		if e.record == nil {
			continue
		}
		there, err := f.has(e)
		if err != nil {
			return 0, err
		}
		switch {
		case there:
			left, records = i+1, records+1
		case t.compacted(i):
			t.gone++
		default:
			lost = min(lost, i)
		}
	}
	if lost < left {
		return 0, fmt.Errorf("%v is gone, and %v there", t.entries[lost], t.entries[left-1])
	}
	if all := f.count(); all != records {
		return 0, fmt.Errorf("%d records are there, and %d of them were appended", all, records)
	}
	n, err := t.matchCommits(f, left, lost)
	if err != nil {
		return 0, err
	}
	if n < len(t.entries) && t.entries[n].at < t.promised {
		return 0, fmt.Errorf("%v is gone, and all before %d was promised", t.entries[n], t.promised)
	}
	if 0 < n && n < len(t.entries) && t.entries[n].call == t.entries[n-1].call {
		return 0, fmt.Errorf("%v is gone, and what was appended with it is there", t.entries[n])
	}
	return n, nil
}

// matchCommits returns how many entries must be left, between two bounds, for the commits to be what they are.
func (t *truth) matchCommits(f found, left, lost int) (int, error) {
	folded := make(map[string]map[TopicPartition]Committed)
	for i := 0; ; i++ {
		if i >= left && maps.EqualFunc(folded, f.commits, maps.Equal) {
			return i, f.covered()
		}
		if i == lost {
			return 0, fmt.Errorf("the commits are %v, and were %v with the %d entries that are there", f.commits, folded, i)
		}
		if e := t.entries[i]; e.record == nil {
			if folded[e.group] == nil {
				folded[e.group] = make(map[TopicPartition]Committed)
			}
			maps.Copy(folded[e.group], e.offsets)
		}
	}
}

// covered checks that no commit is ahead of what it covers.
func (f found) covered() error {
	for group, offsets := range f.commits {
		for tp, c := range offsets {
			if c.Offset > f.ends[tp] {
				return fmt.Errorf("group %s has committed %d of %v, which ends at %d", group, c.Offset, tp, f.ends[tp])
			}
		}
	}
	return nil
}

func (f found) has(e told) (bool, error) {
	rs := f.records[e.tp]
	i, there := slices.BinarySearchFunc(rs, e.record.Offset, func(r Record, o int64) int { return int(r.Offset - o) })
	if !there {
		return false, nil
	}
	return true, sameRecord(e.record, &rs[i])
}

func (f found) count() (n int) {
	for _, rs := range f.records {
		n += len(rs)
	}
	return n
}

// compacted says whether an entry may be gone because it was compacted: it and what came after it are a day old, and
// that is of the same key, or the entry is a tombstone.
func (t *truth) compacted(i int) bool {
	e := t.entries[i]
	if t.topics[e.tp.Topic].Kind != Table || e.record.Key == nil {
		return false
	}
	return slices.ContainsFunc(t.entries[i+1:], func(later told) bool {
		return later.record != nil && later.tp == e.tp && later.record.Time <= t.now-compactionDelay.Milliseconds() &&
			(e.record.Value == nil || bytes.Equal(later.record.Key, e.record.Key))
	})
}

// checkTables wants the rows of tables to be those of all that was appended.
func (t *truth) checkTables(f found) error {
	all := make(map[TopicPartition][]Record)
	for _, e := range t.entries {
		if e.record != nil && t.topics[e.tp.Topic].Kind == Table {
			all[e.tp] = append(all[e.tp], *e.record)
		}
	}
	for tp, rs := range all {
		if want, got := rows(rs), rows(f.records[tp]); !maps.Equal(want, got) {
			return fmt.Errorf("the rows of %v are %v, not %v", tp, got, want)
		}
	}
	return nil
}

// rows returns the value of each key.
func rows(rs []Record) map[string]string {
	all := make(map[string]string)
	for _, r := range rs {
		if r.Value == nil {
			delete(all, string(r.Key))
		} else if r.Key != nil {
			all[string(r.Key)] = string(r.Value)
		}
	}
	return all
}
