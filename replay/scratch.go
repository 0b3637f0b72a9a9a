package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// spill is the disk behind scratches, which is thrown away in the end. It is opened when the first of them needs it.
// Safe for concurrent use.
type spill struct {
	under string // the directory that dir is made in

	mu    sync.Mutex // guards what follows
	dir   string
	db    *leveldb.DB
	n     uint32 // scratches so far
	files []*os.File
}

// open returns the disk.
func (s *spill) open() (*leveldb.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		return s.db, nil
	}
	dir, err := os.MkdirTemp(s.under, "stockflow-scratch-")
	if err == nil {
		s.dir = dir
		s.db, err = leveldb.OpenFile(dir, &opt.Options{
			Filter: filter.NewBloomFilter(10), NoSync: true, OpenFilesCacheCapacity: 64, Compression: opt.NoCompression,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("making room on disk for what is folded: %w", err)
	}
	return s.db, nil
}

// close throws it away.
func (s *spill) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := discard(s.files)
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// scratch is a map that is thrown away in the end. It is in memory as far as there is room, and beyond that on disk: what
// a table takes may be more than there is of memory. Its keys are of kinds, each of which has an order. Safe for concurrent use.
type scratch struct {
	spill *spill
	room  int    // of memory
	name  []byte // before the keys on disk

	mu      sync.Mutex  // guards what follows
	young   *spillTable // what is not on disk yet
	spilled bool        // there is something on disk
}

const (
	// smallRoom is for what is seldom much.
	smallRoom = 4 << 20
	// rowsRoom is for the rows of all partitions that are folded at a time.
	rowsRoom = 88 << 20
)

// scratch returns a new one.
func (s *spill) scratch(room int) *scratch {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return &scratch{spill: s, room: room, name: binary.BigEndian.AppendUint32(nil, s.n), young: newSpillTable()}
}

// kind says what a key of a scratch is for.
type kind byte

// full is how a key is written in memory; on disk the scratch's name is before it.
func full(k kind, key string) []byte {
	return append(append(make([]byte, 0, 64), byte(k)), key...)
}

// get returns nil for what is not there.
func (s *scratch) get(k kind, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(full(k, key))
}

// peek is get for a caller who is done with the value before the next put.
func (s *scratch) peek(k kind, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := full(k, key)
	if value, known := s.young.get(name); known {
		return value, nil
	}
	return s.find(name)
}

// find is get. The caller holds mu.
func (s *scratch) find(full []byte) ([]byte, error) {
	if value, known := s.young.get(full); known {
		return copied(value), nil
	}
	if !s.spilled {
		return nil, nil
	}
	value, err := s.spill.db.Get(s.onDisk(full), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	if err == nil && value == nil {
		value = []byte{} // it is there, and empty
	}
	return value, err
}

// onDisk is what a key is called there.
func (s *scratch) onDisk(full []byte) []byte { return slices.Concat(s.name, full) }

// put keeps value; nil deletes.
func (s *scratch) put(k kind, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.young.put(full(k, key), value)
	if s.young.size < s.room {
		return nil
	}
	if s.young.dead > s.young.size/3 {
		s.young.tidy()
		return nil
	}
	return s.age(nil)
}

// keep writes to disk what is in memory, but forgets it unless it is of one of some kinds; without any, all is kept. So
// there is room for others.
func (s *scratch) keep(kinds ...kind) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.age(kinds)
}

// spillBatch is about how many bytes are written to disk at a time.
const spillBatch = 256 << 10

// age is keep. The caller holds mu.
func (s *scratch) age(kinds []kind) error {
	db, err := s.spill.open()
	if err != nil {
		return err
	}
	b, size := new(leveldb.Batch), 0
	write := func() {
		if err == nil && size > 0 {
			err = db.Write(b, nil)
		}
		b.Reset()
		size = 0
	}
	s.young.each(func(key, value []byte) {
		if len(kinds) > 0 && !slices.Contains(kinds, kind(key[0])) {
			return
		}
		name := s.onDisk(key)
		if value == nil {
			b.Delete(name)
		} else {
			b.Put(name, value)
		}
		if size += len(name) + len(value); size >= spillBatch {
			write()
		}
	})
	write()
	s.young, s.spilled = newSpillTable(), true
	return err
}

// forget frees the memory of what is not needed any more.
func (s *scratch) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.young = newSpillTable()
}

// each calls f with all of a kind, in the order of the keys, as they are now. f may change them.
func (s *scratch) each(k kind, f func(key string, value []byte) error) error {
	s.mu.Lock()
	spilled := s.spilled
	s.mu.Unlock()
	if !spilled {
		return s.eachYoung(k, f)
	}
	if err := s.keep(); err != nil {
		return err
	}
	prefix := s.onDisk([]byte{byte(k)})
	it := s.spill.db.NewIterator(util.BytesPrefix(prefix), nil)
	defer it.Release()
	for it.Next() {
		if err := f(string(it.Key()[len(prefix):]), append([]byte{}, it.Value()...)); err != nil {
			return err
		}
	}
	return it.Error()
}

// all is each in no order. f may not use the scratch.
func (s *scratch) all(k kind, f func(key string, value []byte) error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spilled {
		s.mu.Unlock()
		defer s.mu.Lock()
		return s.each(k, f)
	}
	s.young.each(func(key, value []byte) {
		if err == nil && kind(key[0]) == k && value != nil {
			err = f(string(key[1:]), value)
		}
	})
	return err
}

// eachYoung is each of what is all in memory.
func (s *scratch) eachYoung(k kind, f func(key string, value []byte) error) error {
	var keys []string
	s.mu.Lock()
	s.young.each(func(key, value []byte) {
		if kind(key[0]) == k && value != nil {
			keys = append(keys, string(key[1:]))
		}
	})
	s.mu.Unlock()
	slices.Sort(keys)
	for _, key := range keys {
		value, err := s.get(k, key)
		if err == nil && value != nil {
			err = f(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add adds to a number that is kept under a key; a number that comes to 0 is not kept.
func (s *scratch) add(k kind, key string, n int64) (sum int64, err error) {
	old, err := s.get(k, key)
	if err != nil {
		return 0, err
	}
	if sum = numberOf(old) + n; sum == 0 {
		return 0, s.put(k, key, nil)
	}
	return sum, s.put(k, key, number(sum))
}
