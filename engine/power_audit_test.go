package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/journal/files/powercut"
)

// audit holds a journal that was just opened against what somebody outside was told, and what is in it against the folds of its logs.
func (w *powerWorld) audit(j *journal.Journal) {
	defer func() {
		if p := recover(); p != nil {
			v, ours := p.(*violation)
			if !ours {
				panic(p)
			}
			w.fail("%w", v)
		}
	}()
	for _, s := range w.sim.shelves {
		if err := w.load(j, s); err != nil {
			w.fail("read %s/%d: %w", s.topic, s.partition, err)
			return
		}
	}
	w.checkTold()
	w.feed()
	w.checkCommits(j)
	w.checkMailed()
}

// load takes what a partition has more than at the last audit.
func (w *powerWorld) load(j *journal.Journal, s *shelf) error {
	p := j.Partition(s.topic, s.partition)
	if p == nil && len(s.records) == 0 {
		return nil // the power went before the topic was made
	}
	if p == nil {
		return errors.New("the topic is gone")
	}
	_, end := p.Bounds(journal.Durable)
	if known := int64(len(s.records)); end < known {
		return fmt.Errorf("it ends at %d, and ended at %d at an earlier start", end, known)
	}
	return p.Read(context.Background(), int64(len(s.records)), end, journal.Durable, func(r journal.Record) error {
		if r.Offset != int64(len(s.records)) {
			return fmt.Errorf("offset %d follows offset %d", r.Offset, len(s.records)-1)
		}
		s.records = append(s.records, foundRecord(s, r))
		return nil
	})
}

// foundRecord is a record of the journal as the oracle has it. A machine wrote those that have their origin as their id.
func foundRecord(s *shelf, r journal.Record) stored {
	found := stored{key: string(r.Key), value: r.Value, at: r.Time, by: "a group"}
	for name, value := range r.Headers.All() {
		found.headers = append(found.headers, kgo.RecordHeader{Key: string(name), Value: value})
	}
	origin := found.header(codecs.HeaderOrigin)
	if s.number < len(specs) && (origin == nil || !bytes.Equal(origin, found.header(codecs.HeaderID))) {
		found.by, found.forged = outside, true
	}
	return found
}

// checkTold: whatever somebody outside was told is there, as it was told.
func (w *powerWorld) checkTold() {
	w.mu.Lock()
	told := w.told
	w.told = map[broker.TopicPartition]map[int64]stored{}
	w.mu.Unlock()
	for at, records := range told {
		s := w.sim.shelf(at.Topic, at.Partition)
		for offset, r := range records {
			if offset >= int64(len(s.records)) {
				w.fail("somebody was told of offset %d of %s, which ends at %d", offset, at, len(s.records))
			} else if is := s.records[offset]; is.key != r.key || !bytes.Equal(is.value, r.value) || !sameHeaders(is.headers, r.headers) {
				w.fail("offset %d of %s is %q %x, and somebody was told that it is %q %x", offset, at, is.key, is.value, r.key, r.value)
			}
		}
	}
}

// feed shows the oracle what is new: the logs, each message after its cause, and then what must have come of them.
func (w *powerWorld) feed() {
	logs, rest := w.sim.shelves[:len(specs)*int(w.sim.shape.partitions)], w.sim.shelves[len(specs)*int(w.sim.shape.partitions):]
	for more := true; more; {
		more = false
		for _, s := range logs {
			for s.visible < int64(len(s.records)) && w.hasCause(&s.records[s.visible]) {
				w.show(s)
				more = true
			}
		}
	}
	for _, s := range logs {
		if s.visible < int64(len(s.records)) {
			w.fail("offset %d of %s/%d is there, and its origin %s is not", s.visible, s.topic, s.partition, s.records[s.visible].header(codecs.HeaderOrigin))
		}
	}
	for _, s := range slices.Backward(rest) { // dead letters before tables
		for w.sound() && s.visible < int64(len(s.records)) {
			w.show(s)
		}
	}
}

func (w *powerWorld) hasCause(r *stored) bool {
	if r.by == outside {
		return true
	}
	origin, err := codecs.ParseOrigin(r.header(codecs.HeaderOrigin))
	return err != nil || w.sim.oracle.verdict(origin.Log, origin.Partition, origin.Offset) != nil
}

func (w *powerWorld) show(s *shelf) {
	if r := &s.records[s.visible]; r.by != outside {
		w.sim.oracle.sent(s, r)
	}
	s.visible++
	w.sim.oracle.saw(s, s.visible-1)
	w.stats.count(&w.stats.entries)
}

// checkCommits: nothing is committed that hasn't happened, or isn't there, and no commit is gone that somebody has seen.
func (w *powerWorld) checkCommits(j *journal.Journal) {
	for _, g := range w.sim.groups {
		found := j.Committed(g.spec.name, journal.Durable)
		for p := range w.sim.shape.partitions {
			at := broker.TopicPartition{Topic: g.spec.log, Partition: p}
			offset := found[journal.TopicPartition(at)].Offset
			if before := max(g.committed[p], w.done[g.spec.name][at]); offset < before {
				w.fail("group %s has committed offset %d of %s, and had committed %d", g.spec.name, offset, at, before)
			}
			w.sim.oracle.commits(g, p, offset)
			g.committed[p] = offset
		}
	}
	clear(w.done)
}

// checkMailed: whatever was sent is in the table, queued at least.
func (w *powerWorld) checkMailed() {
	for e := range w.mailed {
		s := w.sim.shelf(specs[notifications].table, w.sim.partitionOf(e.key))
		st, known := w.sim.oracle.newest[notifications][e.key]
		if !known {
			w.fail("the mail %s was sent, and its order has no row in the outbox", e)
			continue
		}
		_, state, err := codecs.DecodeNotificationRow(s.records[st.newest].value)
		if mail, is := state.Find(e.kind); err != nil || !is || mail.Round < e.round {
			w.fail("the mail %s was sent in round %d, and the outbox has %+v, %w", e, e.round, mail, err)
		}
	}
}

// checkAtRest: every message has come to its end, and everything adds up.
func (w *powerWorld) checkAtRest() {
	defer func() {
		if v, ours := recover().(*violation); ours {
			w.fail("%w", v)
		}
	}()
	for e, n := range w.mailed {
		w.sim.mails.count[e] = n
		if n > w.lives {
			w.fail("the mail %s was sent %d times in %d lives", e, n, w.lives)
		}
	}
	w.sim.checkRest()
}

// checkStores: a store is a prefix of its changelog, or damaged, which is seen; after a life that ended in good order it is all of it.
func (w *powerWorld) checkStores(d *powercut.Disk, all bool) {
	if d == nil {
		return
	}
	for _, g := range specs {
		for p := range w.sim.shape.partitions {
			s := w.sim.shelf(g.table, p)
			dir := path.Join(powerStores, g.table, strconv.Itoa(int(p)))
			if _, err := d.Stat(dir); err != nil {
				continue
			}
			if err := w.checkStore(d, dir, s, all); err != nil {
				w.fail("the store of %s/%d: %w", s.topic, p, err)
			}
		}
	}
}

func (w *powerWorld) checkStore(d *powercut.Disk, dir string, s *shelf, all bool) error {
	aside := false
	db, err := engine.OpenDisk(d, dir, "", func(string, ...any) { aside = true })
	if err != nil {
		return w.excuse(d, err)
	}
	offset, rows, err := contentOf(db)
	err = errors.Join(err, db.Close())
	w.stats.count(&w.stats.stores)
	switch {
	case aside || ldberrors.IsCorrupted(err):
		w.stats.count(&w.stats.damaged)
		return nil
	case err != nil:
		return w.excuse(d, err)
	case offset >= int64(len(s.records)):
		return fmt.Errorf("it has offset %d of a changelog that ends at %d", offset, len(s.records))
	case all && offset != int64(len(s.records))-1:
		return fmt.Errorf("it was closed at offset %d of a changelog that ends at %d", offset, len(s.records))
	}
	want := map[string][]byte{}
	for _, r := range s.records[:offset+1] {
		want[r.key] = r.value
	}
	if !maps.EqualFunc(want, rows, bytes.Equal) {
		return fmt.Errorf("it has offset %d, and its %d rows are not the %d that the changelog has up to there", offset, len(rows), len(want))
	}
	return nil
}

// excuse returns err, or nil if that is only because the power went, or has to come of the trouble of this life.
func (w *powerWorld) excuse(d *powercut.Disk, err error) error {
	if isOff(d) || w.trouble.explains(err) {
		return nil
	}
	return err
}

func contentOf(db *engine.DB) (offset int64, rows map[string][]byte, err error) {
	offset, rows = -1, map[string][]byte{}
	i := db.NewIterator(nil, nil)
	defer i.Release()
	for i.Next() {
		if engine.DiskOffset(i.Key()) {
			if offset, err = strconv.ParseInt(string(i.Value()), 10, 64); err != nil {
				return 0, nil, err
			}
		} else if key, is := engine.DiskRow(i.Key()); is {
			rows[key] = bytes.Clone(i.Value())
		}
	}
	if err := i.Error(); !errors.Is(err, leveldb.ErrNotFound) {
		return offset, rows, err
	}
	return offset, rows, nil
}
