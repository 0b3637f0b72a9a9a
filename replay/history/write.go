package history

import (
	"encoding/json"
	"errors"
	"math"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/replay"
)

// batchRecords bounds the records of one batch.
const batchRecords = 512

// take writes down records of the log that follow each other, in batches. Those before the mark are there already.
func (a *partitionHistory) take(records []*kgo.Record) error {
	for len(records) > 0 {
		n := min(len(records), batchRecords)
		if err := a.takeBatch(records[:n]); err != nil {
			return a.unwritten(err)
		}
		records = records[n:]
	}
	return nil
}

func (a *partitionHistory) unwritten(err error) error {
	return errors.Join(errors.New("writing the history of "+a.name()), a.damaged(err))
}

// takeBatch writes one batch, and then the snapshots that are due. If the process dies in between they come with the next
// message of their key.
func (a *partitionHistory) takeBatch(records []*kgo.Record) error {
	m, w := a.at(), a.writing
	w.begin()
	for _, r := range records {
		if r.Offset < m.Next {
			continue
		}
		m.Next = r.Offset + 1
		if r.Attrs.IsControl() {
			continue
		}
		at := r.Timestamp.UnixMilli()
		if m.First == 0 {
			m.First = at
		}
		m.Latest = max(m.Latest, at)
		if err := a.put(entryOf(r, m.Latest)); err != nil {
			return err
		}
	}
	for _, t := range w.touched {
		w.put(appendTallyName(w.name[:0], t.key), t.append(w.value[:0]))
	}
	if err := a.write(&w.batch, m); err != nil {
		return err
	}
	for _, t := range w.touched {
		if t.since >= stretch {
			if err := a.extend(t); err != nil {
				return err
			}
		}
	}
	return nil
}

func entryOf(r *kgo.Record, by int64) entry { return entry{replay.RecordOf(r), by} }

// writing is a batch on its way to the disk. It is used for one after the other, so that its memory is.
type writing struct {
	batch       leveldb.Batch
	name, value []byte // of what was put last
	touched     []*tally
}

// keptBytes is the largest batch whose memory is kept for the next.
const keptBytes = 4 << 20

// begin empties the batch.
func (w *writing) begin() {
	if cap(w.batch.Dump()) > keptBytes {
		w.batch = leveldb.Batch{}
	}
	w.batch.Reset()
	for _, t := range w.touched {
		t.touched = false
	}
	w.touched = w.touched[:0]
}

// put adds a value under a name. Both are copied; their memory is that of the next name and value.
func (w *writing) put(name, value []byte) {
	w.batch.Put(name, value)
	w.name, w.value = name, value
}

// touch has the tally written with the batch.
func (w *writing) touch(t *tally) {
	if !t.touched {
		t.touched = true
		w.touched = append(w.touched, t)
	}
}

// put adds a message. One that lies on a wrong partition, or has no key that a row could have, concerns no row: it is
// moved, and comes again where it belongs, or is a dead letter.
func (a *partitionHistory) put(e entry) error {
	t, err := a.tally(e.Key)
	if t == nil {
		return err
	}
	w := a.writing
	w.touch(t)
	t.all++
	t.since++
	if t.all > stretch && e.Redrive == nil && e.Origin != nil {
		if _, err := codecs.ParseOrigin(e.Origin); err == nil { // so nobody can give it a 0
			w.put(appendLanded(w.name[:0], e.Origin, e.Offset), w.value[:0])
		}
	}
	w.put(appendPlace(w.name[:0], e.Key, entryKind, e.Offset), e.append(w.value[:0]))
	return nil
}

// checkKey reports whether a key can be that of a row here.
func (a *partitionHistory) checkKey(key string) bool {
	return codecs.CheckID("key", key) == nil && broker.Partition([]byte(key), a.partitions) == a.partition
}

// write writes a batch with the mark that is reached with it.
func (a *partitionHistory) write(b *leveldb.Batch, m mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b.Put([]byte(markName), text)
	if err := a.db.Write(b, nil); err != nil {
		return err
	}
	a.move(m)
	return nil
}

// extend makes the snapshots of a key that are due since its last one.
func (a *partitionHistory) extend(t *tally) error {
	begin, row, err := a.snapshot(a.db, t.key, math.MaxInt64)
	if err != nil {
		return err
	}
	t.since = 0
	b := new(leveldb.Batch)
	err = a.foldAll(a.db, t.key, begin, math.MaxInt64, row, func(s Step) error {
		if t.since++; t.since == stretch {
			b.Put(place(t.key, snapshotKind, s.Offset), s.After)
			t.since = 0
		}
		return nil
	})
	if stopped := new(Stopped); err != nil && !errors.As(err, &stopped) { // it gets no further, and looks back no further
		return err
	}
	b.Put(appendTallyName(nil, t.key), t.append(nil))
	return a.db.Write(b, nil)
}

// rulingOf returns what a letter tells of its message, and whether it tells anything.
func rulingOf(d codecs.DeadLetter) (ruling []byte, tells bool) {
	switch {
	case !d.IsMessage():
		return nil, false
	case d.Skip != nil:
		return skipped, true
	}
	return forged, strings.HasSuffix(d.Reason, engine.BeyondEnd)
}

// addDeadLetters reads from the dead letters which origins lay beyond the ends of their logs, and which messages were skipped.
func (a *partitionHistory) addDeadLetters(records []*kgo.Record) error {
	m := a.at()
	b := new(leveldb.Batch)
	anew := map[string]bool{}
	for _, r := range records {
		if r.Offset < m.Letters {
			continue
		}
		m.Letters = r.Offset + 1
		d, err := codecs.DecodeDeadLetter(r.Value)
		ruling, tells := rulingOf(d)
		if err != nil || !tells || d.Topic != a.machine.Log || d.Partition != a.partition {
			continue
		}
		a.ruled.Store(true)
		b.Put(ruledKey(d.Offset), ruling)
		if d.Offset < m.Next {
			anew[string(d.Key)] = true
			if err := a.forget(b, string(d.Key), d.Offset); err != nil {
				return a.unwritten(err)
			}
		}
	}
	if err := a.write(b, m); err != nil {
		return a.unwritten(err)
	}
	for key := range anew {
		t, err := a.tally(key)
		if t != nil {
			err = a.extend(t)
		}
		if err != nil {
			return a.unwritten(err)
		}
	}
	return nil
}

// forget removes the snapshots of a key from an offset on.
func (a *partitionHistory) forget(b *leveldb.Batch, key string, from int64) error {
	it := a.db.NewIterator(places(key, snapshotKind, from), nil)
	defer it.Release()
	for it.Next() {
		b.Delete(append([]byte{}, it.Key()...))
	}
	return it.Error()
}
