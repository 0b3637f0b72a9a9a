package engine

import (
	"github.com/lovoo/goka/storage"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// Iterator returns the rows in the order of their keys, as they were when it was called; what is dirty is not
// among them.
func (s *Store) Iterator() (storage.Iterator, error) {
	return s.IteratorWithRange(nil, nil)
}

// IteratorWithRange returns the rows with keys from start on and before limit. As in goka, an empty limit makes
// start a prefix.
func (s *Store) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	if err := s.flush(); err != nil {
		return nil, err
	}
	r := util.BytesPrefix(append([]byte(rowPrefix), start...))
	if len(limit) > 0 {
		r.Limit = append([]byte(rowPrefix), limit...)
	}
	return &rows{s.db.NewIterator(r, nil)}, nil
}

// rows is a storage.Iterator over a snapshot of the disk.
type rows struct {
	it iterator.Iterator
}

func (r *rows) Next() bool { return r.it.Next() }
func (r *rows) Err() error { return r.it.Error() }
func (r *rows) Release()   { r.it.Release() }

// Key returns the current key, nil when there is none.
func (r *rows) Key() []byte {
	if k := r.it.Key(); len(k) >= len(rowPrefix) {
		return k[len(rowPrefix):]
	}
	return nil
}

// Value returns the current row. The caller must not keep it.
func (r *rows) Value() ([]byte, error) { return r.it.Value(), r.it.Error() }

// Seek moves before the first key at or after key, so that Next is there; it reports whether there is one.
func (r *rows) Seek(key []byte) bool {
	found := r.it.Seek(append([]byte(rowPrefix), key...))
	r.it.Prev()
	return found
}
