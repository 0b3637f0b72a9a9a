package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// Index finds rows of a store by what they hold. Its entries lie beside the rows and change in the same atomic batch,
// so at every moment, a crash included, they are those of the rows that are there.
type Index struct {
	// Version names what Terms and Holds do. A store whose entries were made by another version, or that has none, makes
	// them anew from its rows when it is opened.
	Version string
	// Terms returns what a row is to be found under, nothing twice. It depends on its arguments alone, and may be
	// called by many goroutines at once. A row that it can't make sense of is found under nothing.
	Terms func(key string, row []byte) []string
	// Holds reports whether the entries of a term hold their rows, so that whoever finds them need not look for each of
	// them where it lies. Such an entry costs as much as its row, and is written whenever that is. nil: none does.
	Holds func(term string) bool
}

// An entry is entryPrefix, the length of the term, the term, and the key: the entries of a term are together and in the
// order of their keys, and no term, whatever bytes it has, reaches into another. Its value is the row, or nothing.
const (
	entryPrefix = "\x02"
	// versionKey holds the version of the entries, if all of them are there.
	versionKey = "\x00index"
)

// reindexRows is how many rows are indexed in one batch when a store is opened; fewer if they come to batchBytes.
const reindexRows = 4096

// Index gives the store an index. It is to be called before Open.
func (s *Store) Index(x Index) { s.index = x }

// terms are those of a row, none if there is no row or no index.
func (x Index) terms(key string, row []byte) []string {
	if row == nil || x.Terms == nil {
		return nil
	}
	return x.Terms(key, row)
}

// change puts into a batch what becomes of the entries when the row of key was old and will be row. Most changes of a
// row leave most of its entries where they are; those that hold it get the new one.
func (x Index) change(b *leveldb.Batch, key string, old, row []byte) {
	had, has := x.terms(key, old), x.terms(key, row)
	for _, term := range had {
		if !slices.Contains(has, term) {
			b.Delete(append(entriesOf(term), key...))
		}
	}
	for _, term := range has {
		switch {
		case x.Holds != nil && x.Holds(term):
			b.Put(append(entriesOf(term), key...), row)
		case !slices.Contains(had, term):
			b.Put(append(entriesOf(term), key...), nil)
		}
	}
}

// entriesOf is what the entries of a term begin with.
func entriesOf(term string) []byte {
	b := make([]byte, 0, len(entryPrefix)+binary.MaxVarintLen16+len(term)+64) // with room for the key
	b = append(b, entryPrefix...)
	b = binary.AppendUvarint(b, uint64(len(term)))
	return append(b, term...)
}

// indexed puts into a batch what becomes of the entries of key with its new row. The old one is on disk: batches are
// written one after the other.
func (s *Store) indexed(b *leveldb.Batch, key string, row []byte) error {
	if s.index.Terms == nil {
		return nil
	}
	old, err := s.db.Get([]byte(rowPrefix+key), nil)
	if err != nil && !errors.Is(err, leveldb.ErrNotFound) {
		return s.damaged(err)
	}
	s.index.change(b, key, old, row)
	return nil
}

// reindex makes the entries anew if they are not of the index that the store has now. The version goes first and comes
// back last, so who dies in between begins again.
func (s *Store) reindex() error {
	made, err := s.db.Get([]byte(versionKey), nil)
	if err != nil && !errors.Is(err, leveldb.ErrNotFound) {
		return s.damaged(err)
	}
	if string(made) == s.index.Version {
		return nil
	}
	version := new(leveldb.Batch)
	version.Delete([]byte(versionKey))
	if err := s.commit(version); err != nil {
		return err
	}
	if err := s.each(entryPrefix, func(b *leveldb.Batch, entry, _ []byte) { b.Delete(entry) }); err != nil {
		return err
	}
	if s.index.Version == "" {
		return nil
	}
	rows := 0
	err = s.each(rowPrefix, func(b *leveldb.Batch, key, row []byte) {
		rows++
		s.index.change(b, string(key[len(rowPrefix):]), nil, row)
	})
	if err != nil {
		return err
	}
	if rows > 0 {
		s.log("the rows of a store were indexed anew", "store", s.dir, "rows", rows, "index", s.index.Version, "before", string(made))
	}
	version.Reset()
	version.Put([]byte(versionKey), []byte(s.index.Version))
	return s.commit(version)
}

// each walks over what begins with prefix, and writes what change puts into its batches.
func (s *Store) each(prefix string, change func(b *leveldb.Batch, key, value []byte)) error {
	r := util.BytesPrefix([]byte(prefix))
	for r.Start != nil {
		if err := s.some(r, change); err != nil {
			return err
		}
	}
	return nil
}

// some walks over as much of r as makes one batch, and leaves in r what remains, with no start if nothing does. Each batch
// has an iterator of its own: while one is open, goleveldb keeps every file that it has merged into others.
func (s *Store) some(r *util.Range, change func(b *leveldb.Batch, key, value []byte)) error {
	it := s.db.NewIterator(r, nil)
	defer it.Release()
	b := new(leveldb.Batch)
	r.Start = nil
	for n := 1; it.Next(); n++ {
		if change(b, it.Key(), it.Value()); n == reindexRows || len(b.Dump()) >= batchBytes {
			r.Start = append(bytes.Clone(it.Key()), 0) // the least that comes after
			break
		}
	}
	if err := it.Error(); err != nil {
		return s.damaged(err)
	}
	return s.commit(b)
}

// Snapshot is a store as it was at one moment, rows and entries as they belong together. It is for one goroutine, and
// to be released before the store is closed.
type Snapshot struct {
	store *Store
	at    *leveldb.Snapshot
}

// Snapshot returns the store as it is now, with every row that the changelog has acknowledged; an owner's rows that it
// has not are not in it.
func (s *Store) Snapshot() (*Snapshot, error) {
	if err := s.flush(); err != nil {
		return nil, err
	}
	at, err := s.db.GetSnapshot()
	if err != nil {
		return nil, fmt.Errorf("reading the store %s: %w", s.dir, err)
	}
	return &Snapshot{s, at}, nil
}

// Release ends the use of the snapshot.
func (sn *Snapshot) Release() { sn.at.Release() }

// Row returns the row of key, nil if there is none.
func (sn *Snapshot) Row(key string) ([]byte, error) {
	row, err := sn.at.Get([]byte(rowPrefix+key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a row of the store %s: %w", sn.store.dir, sn.store.damaged(err))
	}
	return row, nil
}

// Find returns the rows that are found under a term, whose keys begin with prefix and come after after, in the order of
// their keys. "" is before all keys.
func (sn *Snapshot) Find(term, prefix, after string) *Found {
	return sn.walk(entriesOf(term), prefix, after, true)
}

// All returns all rows whose keys begin with prefix and come after after, likewise.
func (sn *Snapshot) All(prefix, after string) *Found {
	return sn.walk([]byte(rowPrefix), prefix, after, false)
}

func (sn *Snapshot) walk(within []byte, prefix, after string, entries bool) *Found {
	r := util.BytesPrefix(append(slices.Clone(within), prefix...))
	if after != "" {
		// With the least byte behind it, it is the least that comes after.
		start := append(append(slices.Clone(within), after...), 0)
		if bytes.Compare(start, r.Start) > 0 {
			r.Start = start
		}
		if bytes.Compare(r.Start, r.Limit) > 0 {
			r.Limit = r.Start
		}
	}
	return &Found{sn, sn.at.NewIterator(r, nil), len(within), entries}
}

// Found are rows that were found. They are to be released before their snapshot.
type Found struct {
	in      *Snapshot
	it      iterator.Iterator
	skip    int  // what stands before the key
	entries bool // whether it walks over entries, or over the rows themselves
}

// Next moves to the next row, at first to the first, and reports whether there is one. When there is none, Err says
// whether that is the end.
func (f *Found) Next() bool { return f.it.Next() }

// Key returns the key of the current row.
func (f *Found) Key() string { return string(f.it.Key()[f.skip:]) }

// Row returns the current row: the one that is here, or else, as no row is empty, the one that the entry is of.
func (f *Found) Row() ([]byte, error) {
	if held := f.it.Value(); !f.entries || len(held) > 0 {
		return bytes.Clone(held), f.Err()
	}
	return f.in.Row(f.Key())
}

// Err returns what went wrong, nil if nothing did.
func (f *Found) Err() error {
	if err := f.it.Error(); err != nil {
		return fmt.Errorf("walking over the store %s: %w", f.in.store.dir, f.in.store.damaged(err))
	}
	return nil
}

// Release ends the use of what was found.
func (f *Found) Release() { f.it.Release() }
