package history

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/replay"
)

// batchRecords bounds the records of one batch.
const batchRecords = 512

// take writes down records of the log that follow each other, in batches. Those before the mark are there already.
func (a *annals) take(records []*kgo.Record) error {
	for len(records) > 0 {
		n := min(len(records), batchRecords)
		if err := a.takeBatch(records[:n]); err != nil {
			return a.unwritten(err)
		}
		records = records[n:]
	}
	return nil
}

func (a *annals) unwritten(err error) error {
	return errors.Join(errors.New("writing the history of "+a.name()), a.damaged(err))
}

// takeBatch writes one batch, and then the snapshots that are due. If the process dies in between they come with the next
// message of their key.
func (a *annals) takeBatch(records []*kgo.Record) error {
	m := a.at()
	w := writing{annals: a, counts: map[string]uint64{}}
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
		if err := w.put(entryOf(r, m.Latest)); err != nil {
			return err
		}
	}
	if err := w.end(m); err != nil {
		return err
	}
	for key, n := range w.counts {
		if n >= stretch {
			if err := a.extend(key); err != nil {
				return err
			}
		}
	}
	return nil
}

func entryOf(r *kgo.Record, by int64) entry { return entry{replay.RecordOf(r), by} }

// writing is a batch on its way to the disk.
type writing struct {
	*annals
	batch  leveldb.Batch
	counts map[string]uint64 // of the keys in the batch
}

// put adds a message. One that lies on a wrong partition, or has no key that a row could have, concerns no row: it is
// moved, and comes again where it belongs, or is a dead letter.
func (w *writing) put(e entry) error {
	if w.only != "" && e.Key != w.only || !w.checkKey(e.Key) {
		return nil
	}
	if e.Redrive == nil && e.Origin != nil {
		if o, err := codecs.ParseOrigin(e.Origin); err == nil {
			w.batch.Put(place(landedPrefix, string(codecs.EncodeOrigin(o)), e.Offset), nil)
		}
	}
	if _, counted := w.counts[e.Key]; !counted {
		n, err := w.count(e.Key)
		if err != nil {
			return err
		}
		w.counts[e.Key] = n
	}
	w.counts[e.Key]++
	w.batch.Put(place(entryPrefix, e.Key, e.Offset), e.bytes())
	return nil
}

// checkKey reports whether a key can be that of a row here.
func (a *annals) checkKey(key string) bool {
	return codecs.CheckID("key", key) == nil && broker.Partition([]byte(key), a.partitions) == a.partition
}

// count returns how many messages of a key there are since its last snapshot.
func (a *annals) count(key string) (uint64, error) {
	text, err := a.db.Get(countKey(key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return 0, nil
	}
	n, _ := binary.Uvarint(text)
	return n, err
}

// end writes the batch with the mark that is reached with it.
func (w *writing) end(m mark) error {
	for key, n := range w.counts {
		w.batch.Put(countKey(key), binary.AppendUvarint(nil, n))
	}
	return w.write(&w.batch, m)
}

func (a *annals) write(b *leveldb.Batch, m mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b.Put([]byte(markKey), text)
	if err := a.db.Write(b, nil); err != nil {
		return err
	}
	a.move(m)
	return nil
}

// extend makes the snapshots of a key that are due since its last one.
func (a *annals) extend(key string) error {
	from := int64(0)
	last := a.db.NewIterator(&util.Range{Start: place(snapshotPrefix, key, 0), Limit: place(snapshotPrefix, key, math.MaxInt64)}, nil)
	if last.Last() {
		from = offsetOf(last.Key()) + 1
	}
	last.Release()
	if err := last.Error(); err != nil {
		return err
	}
	n := uint64(0)
	b := new(leveldb.Batch)
	err := a.walk(a.db, key, from, math.MaxInt64, func(s Step) error {
		if n++; n == stretch {
			b.Put(place(snapshotPrefix, key, s.Offset), s.After)
			n = 0
		}
		return nil
	})
	if stopped := new(Stopped); err != nil && !errors.As(err, &stopped) { // it gets no further, and looks back no further
		return err
	}
	b.Put(countKey(key), binary.AppendUvarint(nil, n))
	return a.db.Write(b, nil)
}

// takeLetters reads from the dead letters which origins lay beyond the ends of their logs.
func (a *annals) takeLetters(records []*kgo.Record) error {
	m := a.at()
	b := new(leveldb.Batch)
	anew := map[string]bool{}
	for _, r := range records {
		if r.Offset < m.Letters {
			continue
		}
		m.Letters = r.Offset + 1
		d, err := codecs.DecodeDeadLetter(r.Value)
		if err != nil || d.Redrive != nil || d.Topic != a.machine.Log || d.Partition != a.partition || !strings.HasSuffix(d.Reason, engine.BeyondEnd) {
			continue
		}
		b.Put(forgedKey(d.Offset), nil)
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
		if err := a.extend(key); err != nil {
			return a.unwritten(err)
		}
	}
	return nil
}

// forget removes the snapshots of a key from an offset on.
func (a *annals) forget(b *leveldb.Batch, key string, from int64) error {
	it := a.db.NewIterator(&util.Range{Start: place(snapshotPrefix, key, from), Limit: place(snapshotPrefix, key, math.MaxInt64)}, nil)
	defer it.Release()
	for it.Next() {
		b.Delete(append([]byte{}, it.Key()...))
	}
	return it.Error()
}
