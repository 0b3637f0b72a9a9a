package history

import (
	"bytes"
	"errors"
	"fmt"
	"sort"

	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/util"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/replay"
)

// Step is what a message did to the row of its key.
type Step struct {
	replay.Step
	Value []byte // as the log has it
	By    int64  // the time that it counts from: its own, unless a message before it in its partition has a later one
}

// Stopped says that the fold can't get past a message, as this program can't take it. Live processing stops there too.
type Stopped struct {
	Log       string
	Partition int32
	Offset    int64
	Reason    string
}

func (s *Stopped) Error() string {
	return fmt.Sprintf("message %s/%d/%d can't be folded by this program: %s", s.Log, s.Partition, s.Offset, s.Reason)
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

// walk folds the messages of a key and calls each with what those did that are at from or behind it, up to and with to.
// It folds less than stretch messages that it doesn't call each with.
func (a *partitionHistory) walk(r leveldb.Reader, key string, from, to int64, each func(Step) error) error {
	begin, row, err := a.snapshot(r, key, from)
	if err != nil {
		return err
	}
	return a.foldAll(r, key, begin, to, row, func(s Step) error {
		if s.Offset < from {
			return nil
		}
		return each(s)
	})
}

// foldAll folds the messages of a key from begin on, up to and with to, into the row that there was before, and calls each
// with what those did.
func (a *partitionHistory) foldAll(r leveldb.Reader, key string, begin, to int64, row []byte, each func(Step) error) error {
	it := r.NewIterator(&util.Range{Start: place(key, entryKind, begin), Limit: append(place(key, entryKind, to), 0)}, nil)
	defer it.Release()
	for it.Next() {
		e, err := readEntry(key, a.partition, offsetOf(it.Key()), it.Value())
		if err != nil {
			return err
		}
		step, err := a.fold(r, e, row)
		if err != nil {
			return err
		}
		row = step.After
		switch err := each(step); {
		case errors.Is(err, errEnough):
			return nil
		case err != nil:
			return err
		}
	}
	return it.Error()
}

// snapshot returns the last row of a key before the message at from that was kept, and the offset from which on its
// messages are to be folded into it.
func (a *partitionHistory) snapshot(r leveldb.Reader, key string, from int64) (begin int64, row []byte, err error) {
	it := r.NewIterator(&util.Range{Start: place(key, snapshotKind, 0), Limit: place(key, snapshotKind, from)}, nil)
	defer it.Release()
	if it.Last() {
		begin = offsetOf(it.Key()) + 1
		if len(it.Value()) > 0 {
			row = append(row, it.Value()...)
		}
	}
	return begin, row, it.Error()
}

// ruling returns what a letter tells of a message, and whether one tells anything.
func (a *partitionHistory) ruling(r leveldb.Reader, offset int64) (ruling []byte, tells bool, err error) {
	if !a.ruled.Load() {
		return nil, false, nil
	}
	ruling, err = r.Get(ruledKey(offset), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, false, nil
	}
	return ruling, err == nil, err
}

// fold says what a message did to a row.
func (a *partitionHistory) fold(r leveldb.Reader, e entry, row []byte) (Step, error) {
	ruling, tells, err := a.ruling(r, e.Offset)
	if err != nil {
		return Step{}, err
	}
	e.Skipped = bytes.Equal(ruling, skipped)
	step, err := a.machine.Fold(e.Record, replay.World{
		Partitions: a.partitions,
		Reaches:    func(codecs.Origin) (bool, error) { return !tells, nil },
		Row:        func(string) ([]byte, error) { return row, nil },
	})
	if err == nil && step.Disposition == engine.Halt {
		err = &Stopped{a.machine.Log, e.Partition, e.Offset, step.Reason}
	}
	if step.Before == nil && step.After == nil { // it was decided without the row
		step.Before, step.After = row, row
	}
	return Step{step, e.Value, e.by}, err
}

// view calls read with the annals as they are at one moment. The error is a *Behind if they are closed.
func (a *partitionHistory) view(read func(leveldb.Reader) error) error {
	a.opened.RLock()
	defer a.opened.RUnlock()
	if a.db == nil {
		return &Behind{Log: a.machine.Log, Partition: a.partition, Next: a.at().Next}
	}
	now, err := a.db.GetSnapshot()
	if err != nil {
		return err
	}
	defer now.Release()
	err = read(now)
	if ldberrors.IsCorrupted(err) {
		err = fmt.Errorf("reading the history of %s: %w", a.name(), a.damaged(err))
		a.broken(err)
	}
	return err
}

// lastBy returns the offset of the last message of a key that counts from a time at or before at, -1 if there is none.
func (a *partitionHistory) lastBy(r leveldb.Reader, key string, at int64) (int64, error) {
	it := r.NewIterator(places(key, entryKind, 0), nil)
	defer it.Release()
	var failed error
	end := a.at().Next
	// The times of the entries never go back, so the first offset with nothing by then behind it is found in steps.
	first := sort.Search(int(end), func(offset int) bool {
		if !it.Seek(place(key, entryKind, int64(offset))) {
			return true
		}
		e, err := readEntry(key, a.partition, offsetOf(it.Key()), it.Value())
		if err != nil {
			failed = err
		}
		return e.by > at
	})
	if failed != nil {
		return 0, failed
	}
	return a.lastBefore(r, key, int64(first))
}

// lastBefore returns the offset of the last message of a key before an offset, -1 if there is none.
func (a *partitionHistory) lastBefore(r leveldb.Reader, key string, offset int64) (int64, error) {
	it := r.NewIterator(&util.Range{Start: place(key, entryKind, 0), Limit: place(key, entryKind, offset)}, nil)
	defer it.Release()
	if it.Last() {
		return offsetOf(it.Key()), it.Error()
	}
	return -1, it.Error()
}

// firstTime returns when the first message of a key came, 0 if none has.
func (a *partitionHistory) firstTime(r leveldb.Reader, key string) (int64, error) {
	it := r.NewIterator(places(key, entryKind, 0), nil)
	defer it.Release()
	if !it.Next() {
		return 0, it.Error()
	}
	e, err := readEntry(key, a.partition, offsetOf(it.Key()), it.Value())
	return e.by, err
}

// landed returns where the message with a key and an origin is, -1 if it isn't there. The index has no origins of the first
// messages of a key, so those are looked through: most keys have no others.
func (a *partitionHistory) landed(r leveldb.Reader, key string, o codecs.Origin) (int64, error) {
	origin := codecs.EncodeOrigin(o)
	first := r.NewIterator(places(key, entryKind, 0), nil)
	defer first.Release()
	n := 0
	for ; n < stretch && first.Next(); n++ {
		e, err := readEntry(key, a.partition, offsetOf(first.Key()), first.Value())
		if err != nil {
			return -1, err
		}
		if e.Redrive == nil && bytes.Equal(e.Origin, origin) {
			return e.Offset, nil
		}
	}
	if err := first.Error(); err != nil || n < stretch {
		return -1, err
	}
	index := r.NewIterator(util.BytesPrefix(append(append([]byte(landedPrefix), origin...), 0)), nil)
	defer index.Release()
	if index.Next() { // a repeat lies behind it
		return offsetOf(index.Key()), index.Error()
	}
	return -1, index.Error()
}
