package replay

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// scratch is a map on disk that is thrown away in the end: what a table takes may be more than there is of memory. Its
// keys are of kinds, each of which is in the order of its keys. Safe for concurrent use.
type scratch struct {
	dir string
	db  *leveldb.DB

	mu    sync.Mutex        // guards what follows
	young map[string][]byte // what is not in db yet; nil is deleted
	bytes int               // of young, roughly
}

// youngBytes is how much of a scratch is in memory at most.
const youngBytes = 4 << 20

// newScratch makes one in a directory of its own under dir.
func newScratch(dir string) (*scratch, error) {
	own, err := os.MkdirTemp(dir, "scratch-")
	if err != nil {
		return nil, fmt.Errorf("making room on disk for what is folded: %w", err)
	}
	db, err := leveldb.OpenFile(own, &opt.Options{Filter: filter.NewBloomFilter(10), NoSync: true, OpenFilesCacheCapacity: 32})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making room on disk for what is folded: %w", err), os.RemoveAll(own))
	}
	return &scratch{dir: own, db: db, young: map[string][]byte{}}, nil
}

// close throws it away.
func (s *scratch) close() error { return errors.Join(s.db.Close(), os.RemoveAll(s.dir)) }

// kind says what a key of a scratch is for.
type kind byte

// get returns nil for what is not there.
func (s *scratch) get(k kind, key string) ([]byte, error) {
	full := string(rune(k)) + key
	s.mu.Lock()
	value, known := s.young[full]
	s.mu.Unlock()
	if known {
		return value, nil
	}
	value, err := s.db.Get([]byte(full), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	return value, err
}

// put keeps value, which is not to be written to any more; nil deletes.
func (s *scratch) put(k kind, key string, value []byte) error {
	full := string(rune(k)) + key
	s.mu.Lock()
	defer s.mu.Unlock()
	s.young[full] = value
	s.bytes += len(full) + len(value) + 64
	if s.bytes < youngBytes {
		return nil
	}
	return s.age()
}

// flush writes what is in memory to disk.
func (s *scratch) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.age()
}

// age is flush. The caller holds mu.
func (s *scratch) age() error {
	b := new(leveldb.Batch)
	for key, value := range s.young {
		if value == nil {
			b.Delete([]byte(key))
		} else {
			b.Put([]byte(key), value)
		}
	}
	s.young, s.bytes = map[string][]byte{}, 0
	return s.db.Write(b, nil)
}

// each calls f with all of a kind, in the order of the keys, as they are now.
func (s *scratch) each(k kind, f func(key string, value []byte) error) error {
	if err := s.flush(); err != nil {
		return err
	}
	prefix := string(rune(k))
	it := s.db.NewIterator(util.BytesPrefix([]byte(prefix)), nil)
	defer it.Release()
	for it.Next() {
		if err := f(string(it.Key()[len(prefix):]), append([]byte(nil), it.Value()...)); err != nil {
			return err
		}
	}
	return it.Error()
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
