package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

// A process dies while it makes an index anew, at any of its batches; it, or an older one, begins again.
func TestAnIndexIsFinishedByWhoComesNext(t *testing.T) {
	for _, next := range []Index{lengths, words, wordsHeld} {
		dir := filepath.Join(t.TempDir(), "0")
		s := indexedStore(t, dir, words)
		must(t, s.Set("k", []byte("red")))
		must(t, s.Set("l", []byte("blue")))
		must(t, s.Close())

		// As it is once the version is gone, some entries are gone too, and some new ones are there.
		s = NewStore(dir, func(string, ...any) {})
		db, err := s.openDB()
		must(t, err)
		b := new(leveldb.Batch)
		b.Delete([]byte(versionKey))
		b.Delete(append(entriesOf("red"), "k"...))
		b.Put(append(entriesOf("3"), "k"...), nil)
		must(t, db.Write(b, nil))
		must(t, db.Close())

		s = indexedStore(t, dir, next)
		if got, want := entriesIn(t, s), naive(next, map[string]string{"k": "red", "l": "blue"}); !maps.Equal(got, want) {
			t.Errorf("the index %q is %v, want %v", next.Version, got, want)
		}
	}
}

// Each batch of the making leaves a store that says that it isn't made.
func TestAnIndexIsNotSaidToBeThereBeforeItIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := indexedStore(t, dir, words)
	must(t, s.Set("k", []byte("red")))
	must(t, s.Close())

	s = NewStore(dir, func(string, ...any) {})
	var seen []byte
	looked := false
	s.Index(Index{Version: "slow 1", Terms: func(string, []byte) []string {
		looked = true
		seen, _ = s.db.Get([]byte(versionKey), nil)
		return nil
	}})
	must(t, s.Open())
	defer s.Close()
	made, err := s.db.Get([]byte(versionKey), nil)
	must(t, err)
	if !looked || len(seen) != 0 || string(made) != "slow 1" {
		t.Errorf("the version is %q while it is made, and %q then", seen, made)
	}
}

// Many rows take several batches, and so do large ones whose entries hold them.
func TestManyRowsAreIndexedAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := newStore(t, dir)
	const many = 2*reindexRows + 1
	for i := range many {
		must(t, s.Set(fmt.Sprintf("k%06d", i), fmt.Appendf(nil, "red %0300d", i)))
	}
	must(t, s.Close())
	for _, x := range []Index{words, wordsHeld} {
		s = indexedStore(t, dir, x)
		if got := strings.Count(find(t, s, "red", "", ""), "=red"); got != many {
			t.Errorf("%d rows of %d are found by %q", got, many, x.Version)
		}
		must(t, s.Close())
	}
	s = newStore(t, dir)
	if got := len(entriesIn(t, s)); got != 0 {
		t.Errorf("%d entries are left though there is no index", got)
	}
}

// scale weighs the batches that are written to a disk.
type scale struct {
	disk
	heaviest int
}

func (s *scale) Write(b *leveldb.Batch, wo *opt.WriteOptions) error {
	s.heaviest = max(s.heaviest, len(b.Dump()))
	return s.disk.Write(b, wo)
}

// Rows of any size are indexed anew in batches that fit into memory.
func TestABatchOfTheMakingIsNotLarge(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "0"))
	row := []byte("red blue " + strings.Repeat("x", batchBytes/8))
	for i := range 32 {
		must(t, s.Set(fmt.Sprint(i), row))
	}
	must(t, s.flush())
	s.Index(wordsHeld)
	on := &scale{disk: s.db}
	s.db = on
	must(t, s.reindex())
	if on.heaviest < batchBytes || on.heaviest > batchBytes+2*len(row)+1000 {
		t.Errorf("a batch has %d bytes", on.heaviest)
	}
	if got := len(entriesIn(t, s)); got != 3*32 {
		t.Errorf("there are %d entries", got)
	}
}

// A damaged index is damage of the store: at worst it is set aside, and what is found under a term is always right.
func TestADamagedIndexIsNotAnsweredFrom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := indexedStore(t, dir, words)
	const many = 12_000 // enough for a table on disk
	for i := range many {
		must(t, s.Set(fmt.Sprintf("k%06d", i), fmt.Appendf(nil, "red %0100d", i*i)))
		must(t, s.SetOffset(int64(i)))
	}
	must(t, s.Close())
	edit(t, dir, "*.ldb", flip)

	sum := func() int {
		s := NewStore(dir, func(string, ...any) {})
		s.Index(words)
		if err := s.Open(); err != nil {
			return -1
		}
		defer s.Close()
		sn, err := s.Snapshot()
		must(t, err)
		defer sn.Release()
		found := sn.Find("red", "", "")
		defer found.Release()
		n := 0
		for ; found.Next(); n++ {
			row, err := found.Row()
			if err != nil {
				return -1
			}
			if !bytes.HasPrefix(row, []byte("red ")) {
				t.Fatalf("the row of %q is %q", found.Key(), row)
			}
		}
		if found.Err() != nil {
			return -1
		}
		return n
	}
	n := sum()
	if n == -1 {
		n = sum() // it was marked, and is set aside now
	}
	if offset, _ := indexedStore(t, dir, words).GetOffset(-3); n != many && offset != -3 {
		t.Errorf("%d rows of %d are found, and the offset says %d", n, many, offset)
	}
}

// A store whose index can't be made is closed again, so that it can be opened later.
func TestAStoreThatDidNotOpenCanBeOpenedLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := indexedStore(t, dir, words)
	must(t, s.db.(*DB).Put([]byte(offsetKey), []byte("no number"), nil))
	must(t, s.Close())

	s = NewStore(dir, func(string, ...any) {})
	if err := s.Open(); err == nil || !strings.Contains(err.Error(), "no number") {
		t.Fatalf("the error is %v", err)
	}
	must(t, s.Close())
	db, err := s.openDB()
	if err != nil {
		t.Fatalf("it is still open: %v", errors.Unwrap(err))
	}
	must(t, db.Close())
}
