package engine

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/lovoo/goka/storage"
	"github.com/syndtr/goleveldb/leveldb"

	"stockflow/journal/files"
)

// Store keeps the rows of one partition of a table. On disk it holds exactly a prefix of the changelog, with the
// offset of its last record in the same atomic batch, so a process may die anywhere and losing the disk loses
// nothing. Rows that the changelog has not acknowledged are in memory alone.
//
// It implements goka's storage.Storage. It begins by following: what is Set has come from the changelog. Own makes
// it an owner's: what is Set waits in memory until acknowledged. Safe for concurrent use.
type Store struct {
	dir   string
	files files.FS
	log   func(msg string, args ...any)
	index Index // see there; the zero Index is none
	// sync returns when all that the changelog has acknowledged is on its disk. Nothing goes to the store's disk before that.
	sync func() error
	// within returns where the changelog ends; nil if the store isn't held against that
	within func() (int64, error)

	mu       sync.Mutex // guards what follows, up to flushing
	owned    bool
	dirty    map[string]*row   // set, not acknowledged; an owner's alone
	pending  map[string][]byte // acknowledged, not on disk; nil is a deleted row
	bytes    int               // of pending, roughly
	offset   int64             // of the last acknowledged record
	pins     int               // the offset on disk does not move while there are any
	flushing map[string][]byte // being written to disk; an owner keeps the last batch, which has the rows that it soon reads again
	failed   error             // the first error of the disk

	write sync.Mutex // held while a batch is written, so that batches reach the disk in order
	db    disk
	begun chan struct{} // has a token when the first row is pending
	full  chan struct{} // has a token when so many are that they don't wait any longer
	stop  chan struct{}
	loop  sync.WaitGroup

	closing sync.Once
	closed  error // what closing came to
	// onError is told the first error of the disk.
	onError func(error)
	early   bool // see flaws
}

// row is a row as an owner set it; its address tells two settings of equal bytes apart.
type row struct {
	value []byte
}

// Rows go to disk in batches of so many, or so many bytes, or after so long. A row that changes often goes there once.
const (
	batchRows  = 4096
	batchBytes = 1 << 20
	batchAge   = 3 * time.Second
)

const (
	noOffset = -1
	// offsetKey can't be a row's: ids hold no control characters, and rows are stored under rowPrefix.
	offsetKey = "\x00offset"
	rowPrefix = "\x01"
)

// NewStore returns a store in dir, which Open creates. log is called with what an operator should know.
func NewStore(dir string, log func(msg string, args ...any)) *Store {
	return &Store{
		dir: dir, files: files.OS(), log: log, sync: func() error { return nil },
		dirty: map[string]*row{}, pending: map[string][]byte{},
		offset: noOffset,
		begun:  make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}),
		onError: func(error) {},
	}
}

// Files has the store's files go through a layer. It is to be called before Open.
func (s *Store) Files(fsys files.FS) { s.files = fsys }

// Within has Open hold the store against the end of its changelog: one that has taken in more is of another history, as after
// an older copy of the logs was put in the place of newer ones. It is set aside. It is to be called before Open.
func (s *Store) Within(end func() (int64, error)) { s.within = end }

// Open opens the directory. One that is damaged is set aside under another name and a new one is begun: the
// changelog has all of it.
func (s *Store) Open() error {
	err := s.open()
	if err != nil && isMarked(s.files, s.dir) { // what was read first is damaged already
		err = s.open()
	}
	if err == nil && s.within != nil {
		err = s.setAsideBeyond()
	}
	if err != nil {
		return err
	}
	s.loop.Go(s.flushLoop)
	return nil
}

func (s *Store) open() error {
	db, err := s.openOrSetAside()
	if err != nil {
		return fmt.Errorf("opening the store %s: %w", s.dir, err)
	}
	if err := s.begin(db); err != nil {
		s.db = nil
		return errors.Join(err, db.Close())
	}
	return nil
}

// setAsideBeyond sets the store aside if it has more than its changelog.
func (s *Store) setAsideBeyond() error {
	end, err := s.within()
	if err != nil || s.offset < end {
		return err
	}
	beyond := fmt.Errorf("it has taken in offset %d of a changelog that ends at %d", s.offset, end)
	if err := s.db.Close(); err != nil {
		return err
	}
	if err := setAside(s.files, s.dir, refill, s.log, beyond); err != nil {
		return err
	}
	return s.open()
}

// begin reads the offset from the disk, and makes the index right before anyone reads it.
func (s *Store) begin(db disk) error {
	s.db = db
	data, err := s.db.Get([]byte(offsetKey), nil)
	switch {
	case errors.Is(err, leveldb.ErrNotFound):
		s.offset = noOffset
	case err != nil:
		return fmt.Errorf("reading the offset of the store %s: %w", s.dir, s.damaged(err))
	default:
		if s.offset, err = strconv.ParseInt(string(data), 10, 64); err != nil {
			return fmt.Errorf("reading the offset of the store %s: %w", s.dir, err)
		}
	}
	if err := s.reindex(); err != nil {
		return fmt.Errorf("indexing the rows of the store %s: %w", s.dir, err)
	}
	return nil
}

// Close writes what is acknowledged to disk and closes the directory. What is dirty is dropped: it is in no log.
// It may be called again, and on a store that did not open.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	s.closing.Do(func() {
		close(s.stop)
		s.loop.Wait()
		err := s.flush()
		s.closed = errors.Join(err, s.db.Close())
	})
	return s.closed
}

// Get returns the row of key as it was last set, nil if there is none.
func (s *Store) Get(key string) ([]byte, error) {
	s.mu.Lock()
	if r, ok := s.dirty[key]; ok {
		s.mu.Unlock()
		return r.value, nil
	}
	v, ok := s.pending[key]
	if !ok {
		v, ok = s.flushing[key]
	}
	s.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := s.db.Get([]byte(rowPrefix+key), nil)
	if err == leveldb.ErrNotFound { //nolint:errorlint // of most keys that are asked for there is no row yet
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a row of the store %s: %w", s.dir, s.damaged(err))
	}
	return v, nil
}

// Has reports whether there is a row of key.
func (s *Store) Has(key string) (bool, error) {
	v, err := s.Get(key)
	return v != nil, err
}

// Set sets the row of key.
func (s *Store) Set(key string, value []byte) error {
	return s.set(key, &row{value})
}

// set is Set with a setting of the caller's, which is the current one from here on.
func (s *Store) set(key string, r *row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owned && !s.early {
		s.dirty[key] = r
		return nil
	}
	s.put(key, r.value)
	return s.failed
}

// Delete removes the row of key.
func (s *Store) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, nil)
	return s.failed
}

// put makes a row one that the changelog has. The caller holds mu.
func (s *Store) put(key string, value []byte) {
	if len(s.pending) == 0 {
		notify(s.begun)
	}
	s.pending[key] = value
	s.bytes += len(key) + len(value) + 64
	if len(s.pending) >= batchRows || s.bytes >= batchBytes {
		notify(s.full)
	}
}

// notify puts a token into a channel that has none.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Own ends the following of the changelog: from here on, what is Set waits for Acknowledged.
func (s *Store) Own() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned = true
}

// current returns the last setting of key, or nil if the changelog has it already.
func (s *Store) current(key string) *row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirty[key]
}

// Acknowledged tells an owner's store that the changelog has value as the row of key, at offset. Offsets rise.
func (s *Store) Acknowledged(key string, r *row, value []byte, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.dirty[key]; ok && d == r {
		delete(s.dirty, key)
	}
	s.put(key, value)
	s.offset = max(s.offset, offset)
}

// Adopt makes value the row of key, in place of what was set and is not acknowledged: it is newer, and in the changelog.
func (s *Store) Adopt(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dirty, key)
	s.put(key, value)
}

// Passed tells an owner's store that the changelog has a record at offset that is not the newest of its key.
func (s *Store) Passed(offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset = max(s.offset, offset)
}

// Pin keeps the offset on disk where it is until Unpin: a record at or before the last acknowledged one is not the
// newest of its key, and who starts from the disk must meet it again. Pins add up.
func (s *Store) Pin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins++
}

// Unpin takes back one Pin.
func (s *Store) Unpin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins--
}

// GetOffset returns the offset of the last changelog record that the store holds, or def if it holds none.
func (s *Store) GetOffset(def int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offset == noOffset {
		return def, nil
	}
	return s.offset, nil
}

// SetOffset says that all records up to offset have been Set. An owner's store ignores it: goka calls it when any
// row is acknowledged, and for all but offset 0; Acknowledged is exact.
func (s *Store) SetOffset(offset int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owned {
		s.offset = max(s.offset, offset)
	}
	return s.failed
}

// MarkRecovered is goka's sign that the changelog was read to its end.
func (s *Store) MarkRecovered() error { return nil }

var _ storage.Storage = (*Store)(nil)
