package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// words finds a row under each of its words; "-" alone is a row under nothing.
var words = Index{"words 1", func(_ string, row []byte) []string {
	terms := strings.Fields(string(row))
	slices.Sort(terms)
	return slices.DeleteFunc(slices.Compact(terms), func(w string) bool { return w == "-" })
}}

// lengths finds a row under its length.
var lengths = Index{"lengths 1", func(_ string, row []byte) []string { return []string{fmt.Sprint(len(row))} }}

func indexedStore(t *testing.T, dir string, x Index) *Store {
	t.Helper()
	s := NewStore(dir, func(string, ...any) {})
	s.Index(x)
	must(t, s.Open())
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// find returns what is found under a term, as "key=row key=row".
func find(t testing.TB, s *Store, term, prefix, after string) string {
	t.Helper()
	return read(t, s, func(sn *Snapshot) *Found { return sn.Find(term, prefix, after) })
}

func read(t testing.TB, s *Store, find func(*Snapshot) *Found) string {
	t.Helper()
	sn, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Release()
	found := find(sn)
	defer found.Release()
	var rows []string
	for found.Next() {
		row, err := found.Row()
		if err != nil || row == nil {
			t.Fatalf("the row of %q is %q, %v", found.Key(), row, err)
		}
		rows = append(rows, found.Key()+"="+string(row))
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(rows, " ")
}

func TestRowsAreFoundByTheirTerms(t *testing.T) {
	s := indexedStore(t, filepath.Join(t.TempDir(), "0"), words)
	for _, row := range []string{"b=red", "a=red", "c=-", "bb=blue", "ba=red", "d=\x00", "e=\x01", "f=re", "gd=redd"} {
		key, value, _ := strings.Cut(row, "=")
		must(t, s.Set(key, []byte(value)))
	}
	for _, c := range []struct{ term, prefix, after, want string }{
		{"red", "", "", "a=red b=red ba=red"},
		{"red", "b", "", "b=red ba=red"},
		{"red", "", "a", "b=red ba=red"},
		{"red", "b", "a", "b=red ba=red"},
		{"red", "b", "b", "ba=red"},
		{"red", "b", "zz", ""},
		{"red", "a", "b", ""},
		{"red", "x", "", ""},
		{"blue", "", "", "bb=blue"},
		{"re", "", "", "f=re"},
		{"\x00", "", "", "d=\x00"},
		{"-", "", "", ""},
		{"", "", "", ""},
	} {
		if got := find(t, s, c.term, c.prefix, c.after); got != c.want {
			t.Errorf("under %q, from %q, after %q: %s, want %s", c.term, c.prefix, c.after, got, c.want)
		}
	}
}

func TestAllRowsAreWalkedOver(t *testing.T) {
	s := indexedStore(t, filepath.Join(t.TempDir(), "0"), words)
	for _, key := range []string{"b", "a", "ba", "c"} {
		must(t, s.Set(key, []byte("red")))
	}
	for _, c := range []struct{ prefix, after, want string }{
		{"", "", "a=red b=red ba=red c=red"}, {"", "b", "ba=red c=red"}, {"b", "a", "b=red ba=red"}, {"a", "b", ""}, {"", "c", ""},
	} {
		if got := read(t, s, func(sn *Snapshot) *Found { return sn.All(c.prefix, c.after) }); got != c.want {
			t.Errorf("from %q, after %q: %s, want %s", c.prefix, c.after, got, c.want)
		}
	}
}

// What is found is as new as what is set, and changes with the row.
func TestEntriesFollowTheirRows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := indexedStore(t, dir, words)
	must(t, s.Set("k", []byte("red big")))
	before, err := s.Snapshot()
	must(t, err)
	must(t, s.Set("k", []byte("blue big")))
	for term, want := range map[string]string{"red": "", "blue": "k=blue big", "big": "k=blue big"} {
		if got := find(t, s, term, "", ""); got != want {
			t.Errorf("under %s is %q, want %q", term, got, want)
		}
	}
	if row, err := before.Row("k"); err != nil || string(row) != "red big" {
		t.Errorf("a snapshot has changed: %q, %v", row, err)
	}
	before.Release()
	must(t, s.Delete("k"))
	for _, term := range []string{"red", "blue", "big"} {
		if got := find(t, s, term, "", ""); got != "" {
			t.Errorf("under %s is %q, though the row is gone", term, got)
		}
	}
}

func TestAnOwnersIndexHasWhatIsAcknowledged(t *testing.T) {
	s := indexedStore(t, filepath.Join(t.TempDir(), "0"), words)
	s.Own()
	must(t, s.Set("k", []byte("red")))
	if got := find(t, s, "red", "", ""); got != "" {
		t.Errorf("a row that no changelog has is found: %s", got)
	}
	s.Acknowledged("k", s.current("k"), []byte("red"), 1)
	if got := find(t, s, "red", "", ""); got != "k=red" {
		t.Errorf("an acknowledged row is not found: %q", got)
	}
}

// A naive index beside random changes, with the store opened again now and then, with this index or another or none.
func TestTheIndexIsThatOfTheRows(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	dir := filepath.Join(t.TempDir(), "0")
	x, rows := words, map[string]string{}
	s := indexedStore(t, dir, x)
	for step := range 3000 {
		key := pick(r, "a", "b", "aa", "ab", "a\x00", "\x00")
		switch n := r.IntN(100); {
		case n == 0:
			must(t, s.Close())
			x = pick(r, words, lengths, Index{})
			s = indexedStore(t, dir, x)
		case n < 20:
			delete(rows, key)
			must(t, s.Delete(key))
		default:
			rows[key] = pick(r, "-", "red", "blue", "red blue", "blue red", "r ed") // no row is empty: it begins with a head
			must(t, s.Set(key, []byte(rows[key])))
		}
		if r.IntN(3) > 0 {
			continue // several changes of a row make one batch
		}
		must(t, s.flush())
		if got, want := entriesIn(t, s), naive(x, rows); !maps.Equal(got, want) {
			t.Fatalf("seed %d, step %d: the index %q of %q is %v, want %v", seed, step, x.Version, rows, got, want)
		}
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// naive is what the entries of an index are, of these rows.
func naive(x Index, rows map[string]string) map[string]bool {
	entries := map[string]bool{}
	for key, row := range rows {
		for _, term := range x.terms(key, []byte(row)) {
			entries[string(entriesOf(term))+key] = true
		}
	}
	return entries
}

func entriesIn(t testing.TB, s *Store) map[string]bool {
	t.Helper()
	it := s.db.NewIterator(util.BytesPrefix([]byte(entryPrefix)), nil)
	defer it.Release()
	entries := map[string]bool{}
	for it.Next() {
		entries[string(it.Key())] = true
	}
	if err := it.Error(); err != nil {
		t.Fatal(err)
	}
	return entries
}

// A process dies while it makes an index anew, at any of its batches; it, or an older one, begins again.
func TestAnIndexIsFinishedByWhoComesNext(t *testing.T) {
	for _, next := range []Index{lengths, words} {
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
	s.Index(Index{"slow 1", func(string, []byte) []string {
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

// Many rows take several batches.
func TestManyRowsAreIndexedAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := newStore(t, dir)
	const many = 2*reindexRows + 1
	for i := range many {
		must(t, s.Set(fmt.Sprintf("k%06d", i), []byte("red")))
	}
	must(t, s.Close())
	s = indexedStore(t, dir, words)
	if got := strings.Count(find(t, s, "red", "", ""), "=red"); got != many {
		t.Errorf("%d rows of %d are found", got, many)
	}
	must(t, s.Close())
	s = newStore(t, dir)
	if got := len(entriesIn(t, s)); got != 0 {
		t.Errorf("%d entries are left though there is no index", got)
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
	must(t, s.db.(*leveldb.DB).Put([]byte(offsetKey), []byte("no number"), nil))
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
