package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stockflow/journal/files/powercut"
)

// modelEntry is a record or a commit, as it was appended.
type modelEntry struct {
	at        Position // behind it
	partition TopicPartition
	record    Record
	group     string // "": it is a record
	offset    int64  // that was committed
}

// model is a naive journal: a list of all entries. The real one has to agree with it.
type model struct {
	t     *rapid.T
	disk  *powercut.Disk
	clock *testClock
	j     *Journal

	entries []modelEntry
	durable Position // what somebody has been told
	cursors map[cursorName]*Cursor
}

type cursorName struct {
	TopicPartition
	Horizon
}

var modelPartitions = []TopicPartition{{"a", 0}, {"a", 1}, {"b", 0}}

func TestTheJournalIsAListOfEntries(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, disk: powercut.New(), clock: newTestClock()}
		m.open()
		rt.Repeat(map[string]func(*rapid.T){
			"":          func(*rapid.T) { m.check() },
			"append":    m.append,
			"commit":    m.commit,
			"wait":      m.wait,
			"read":      m.read,
			"find time": m.findTime,
			"pass time": func(rt *rapid.T) {
				m.clock.pass(time.Duration(rapid.IntRange(0, 5000).Draw(rt, "ms")) * time.Millisecond)
			},
			"seal":   m.seal,
			"reopen": m.reopen,
			"crash":  func(rt *rapid.T) { m.die(rt, (*powercut.Disk).Crash) },
			"power cut": func(rt *rapid.T) {
				m.die(rt, func(d *powercut.Disk) *powercut.Disk { return d.Cut(testRand()) })
			},
		})
		if err := m.j.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func (m *model) open() {
	o := smallOptions(m.disk)
	o.Clock, o.MaxRecent = m.clock, 3000
	var err error
	if m.j, err = Open(testDir, o); err != nil {
		m.t.Fatal(err)
	}
	for name, partitions := range map[string]int32{"a": 2, "b": 1} {
		if _, err := m.j.CreateTopic(name, Log, partitions); err != nil {
			m.t.Fatal(err)
		}
	}
	m.cursors = make(map[cursorName]*Cursor)
}

func (m *model) append(t *rapid.T) {
	tp := rapid.SampledFrom(modelPartitions).Draw(t, "partition")
	records := rapid.SliceOfN(modelRecord(), 0, 5).Draw(t, "records")
	first, at, err := m.j.Partition(tp.Topic, tp.Partition).Append(records...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if r.Offset != first+int64(i) {
			t.Fatalf("record %d has offset %d, the first has %d", i, r.Offset, first)
		}
		m.entries = append(m.entries, modelEntry{at: at - Position(len(records)-1-i), partition: tp, record: r})
	}
}

func modelRecord() *rapid.Generator[Record] {
	return rapid.Custom(func(t *rapid.T) Record {
		bytes := func(name string, most int) []byte {
			if rapid.IntRange(0, 3).Draw(t, name+"?") == 0 {
				return nil
			}
			return make([]byte, rapid.IntRange(0, most).Draw(t, name))
		}
		r := Record{Key: bytes("key", 10), Value: bytes("value", 900)}
		for range rapid.IntRange(0, 2).Draw(t, "headers") {
			r.Headers = r.Headers.With(rapid.SampledFrom([]string{"x", "y", ""}).Draw(t, "header"), bytes("header value", 20))
		}
		return r
	})
}

func (m *model) commit(t *rapid.T) {
	tp := rapid.SampledFrom(modelPartitions).Draw(t, "partition")
	group := rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group")
	offset := rapid.Int64Range(0, 1000).Draw(t, "offset")
	at, err := m.j.Commit(group, map[TopicPartition]Committed{tp: {Offset: offset}})
	if err != nil {
		t.Fatal(err)
	}
	m.entries = append(m.entries, modelEntry{at: at, partition: tp, group: group, offset: offset})
}

func (m *model) wait(t *rapid.T) {
	if len(m.entries) == 0 {
		return
	}
	at := rapid.SampledFrom(m.entries).Draw(t, "entry").at
	if err := m.j.WaitDurable(context.Background(), at); err != nil {
		t.Fatal(err)
	}
	m.durable = max(m.durable, at)
}

// records are those of a partition, before a position.
func (m *model) records(tp TopicPartition, before Position) (all []Record) {
	for _, e := range m.entries {
		if e.partition == tp && e.group == "" && e.at <= before {
			all = append(all, e.record)
		}
	}
	return all
}

// read goes on with a cursor, which may begin anywhere.
func (m *model) read(t *rapid.T) {
	name := cursorName{rapid.SampledFrom(modelPartitions).Draw(t, "partition"), Horizon(rapid.IntRange(0, 1).Draw(t, "horizon"))}
	all := m.records(name.TopicPartition, m.j.Appended())
	c := m.cursors[name]
	if c == nil || rapid.IntRange(0, 9).Draw(t, "again") == 0 {
		from := rapid.Int64Range(0, int64(len(all))).Draw(t, "from")
		c = m.j.Partition(name.Topic, name.Partition).Follow(from, name.Horizon)
		m.cursors[name] = c
	}
	from, low := c.Offset(), m.j.Durable()
	got, err := c.Try(rapid.IntRange(0, 5000).Draw(t, "bytes"))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got {
		if !reflect.DeepEqual(r, all[from+int64(i)]) {
			t.Fatalf("%v: record %d is %v, was %v", name, from+int64(i), r, all[from+int64(i)])
		}
	}
	visible := int64(len(all))
	if name.Horizon == Durable {
		visible = int64(len(m.records(name.TopicPartition, low)))
	}
	if len(got) == 0 && from < visible {
		t.Fatalf("%v: nothing is read at %d, there are %d", name, from, visible)
	}
}

func (m *model) findTime(t *rapid.T) {
	tp := rapid.SampledFrom(modelPartitions).Draw(t, "partition")
	all := m.records(tp, m.j.Appended())
	ms := m.clock.wall.UnixMilli() - rapid.Int64Range(-10, 10_000).Draw(t, "ago")
	want := slices.IndexFunc(all, func(r Record) bool { return r.Time >= ms })
	offset, at, found := m.j.Partition(tp.Topic, tp.Partition).FindTime(ms, Appended)
	if found != (want >= 0) || found && (offset != int64(want) || at != all[want].Time) {
		t.Fatalf("%v: %d: found %d %d %v, want %d", tp, ms, offset, at, found, want)
	}
}

func (m *model) seal(t *rapid.T) {
	if _, err := m.j.sealer.(*archiver).step(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// check compares what can be seen without reading.
func (m *model) check() {
	for _, tp := range modelPartitions {
		_, end := m.j.Partition(tp.Topic, tp.Partition).Bounds(Appended)
		if want := len(m.records(tp, m.j.Appended())); end != int64(want) {
			m.t.Fatalf("%v ends at %d, want %d", tp, end, want)
		}
	}
	if got, want := m.committed(Appended), m.commits(m.j.Appended()); !maps.Equal(got, want) {
		m.t.Fatalf("committed: %v, want %v", got, want)
	}
}

func (m *model) committed(h Horizon) map[string]int64 {
	got := make(map[string]int64)
	for _, g := range m.j.Groups() {
		for tp, c := range m.j.Committed(g, h) {
			got[fmt.Sprint(g, tp)] = c.Offset
		}
	}
	return got
}

// commits are those before a position.
func (m *model) commits(before Position) map[string]int64 {
	want := make(map[string]int64)
	for _, e := range m.entries {
		if e.group != "" && e.at <= before {
			want[fmt.Sprint(e.group, e.partition)] = e.offset
		}
	}
	return want
}

func (m *model) reopen(t *rapid.T) {
	if err := m.j.Close(); err != nil {
		t.Fatal(err)
	}
	m.open()
}

// die ends the process. What is left is a prefix of the entries, and has all that somebody was told.
func (m *model) die(t *rapid.T, what func(*powercut.Disk) *powercut.Disk) {
	m.durable = max(m.durable, m.j.Durable())
	left := what(m.disk)
	if err := m.j.Close(); err != nil && !errors.Is(err, ErrBroken) {
		t.Fatal(err)
	}
	m.disk = left
	m.open()
	told := 0
	for told < len(m.entries) && m.entries[told].at <= m.durable {
		told++
	}
	for n := told; n <= len(m.entries); n++ {
		if m.has(m.entries[:n]) {
			m.entries = m.entries[:n:n]
			return
		}
	}
	t.Fatalf("%d entries were durable of %d; what is left is no prefix with these", told, len(m.entries))
}

// has says whether the journal has just these entries.
func (m *model) has(entries []modelEntry) bool {
	commits, ends := make(map[string]int64), make(map[TopicPartition]int64)
	for _, e := range entries {
		if e.group != "" {
			commits[fmt.Sprint(e.group, e.partition)] = e.offset
		} else {
			ends[e.partition]++
		}
	}
	for _, tp := range modelPartitions {
		if _, end := m.j.Partition(tp.Topic, tp.Partition).Bounds(Durable); end != ends[tp] {
			return false
		}
	}
	return maps.Equal(commits, m.committed(Durable))
}
