package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/util"
)

// words finds a row under each of its words; "-" alone is a row under nothing.
var words = Index{Version: "words 1", Terms: func(_ string, row []byte) []string {
	terms := strings.Fields(string(row))
	slices.Sort(terms)
	return slices.DeleteFunc(slices.Compact(terms), func(w string) bool { return w == "-" })
}}

// wordsHeld is words with the rows held by the entries of a colour, and not by the others.
var wordsHeld = Index{"words held 1", words.Terms, func(term string) bool { return term == "red" || term == "blue" }}

// lengths finds a row under its length.
var lengths = Index{Version: "lengths 1", Terms: func(_ string, row []byte) []string { return []string{fmt.Sprint(len(row))} }}

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
	for _, x := range []Index{words, wordsHeld} {
		t.Run(x.Version, func(t *testing.T) { findByTerms(t, x) })
	}
}

func findByTerms(t *testing.T, x Index) {
	s := indexedStore(t, filepath.Join(t.TempDir(), "0"), x)
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
	for _, x := range []Index{words, wordsHeld} {
		t.Run(x.Version, func(t *testing.T) { followRows(t, x) })
	}
}

func followRows(t *testing.T, x Index) {
	s := indexedStore(t, filepath.Join(t.TempDir(), "0"), x)
	must(t, s.Set("k", []byte("red big")))
	before, err := s.Snapshot()
	must(t, err)
	for _, row := range []string{"blue big", "blue big one"} {
		must(t, s.Set("k", []byte(row)))
		for term, want := range map[string]string{"red": "", "blue": "k=" + row, "big": "k=" + row} {
			if got := find(t, s, term, "", ""); got != want {
				t.Errorf("under %s is %q, want %q", term, got, want)
			}
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

// Whoever finds an entry that holds its row has it, wherever that lies.
func TestARowThatIsHeldIsNotLookedFor(t *testing.T) {
	s := indexedStore(t, filepath.Join(t.TempDir(), "0"), wordsHeld)
	must(t, s.Set("k", []byte("red big")))
	must(t, s.flush())
	must(t, s.db.(*DB).Delete([]byte(rowPrefix+"k"), nil))
	if got := find(t, s, "red", "", ""); got != "k=red big" {
		t.Errorf("found is %q", got)
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
			x = pick(r, words, wordsHeld, lengths, Index{})
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
func naive(x Index, rows map[string]string) map[string]string {
	entries := map[string]string{}
	for key, row := range rows {
		for _, term := range x.terms(key, []byte(row)) {
			entry := string(entriesOf(term)) + key
			if entries[entry] = ""; x.Holds != nil && x.Holds(term) {
				entries[entry] = row
			}
		}
	}
	return entries
}

func entriesIn(t testing.TB, s *Store) map[string]string {
	t.Helper()
	it := s.db.NewIterator(util.BytesPrefix([]byte(entryPrefix)), nil)
	defer it.Release()
	entries := map[string]string{}
	for it.Next() {
		entries[string(it.Key())] = string(it.Value())
	}
	if err := it.Error(); err != nil {
		t.Fatal(err)
	}
	return entries
}
