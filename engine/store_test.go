package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"stockflow/journal/files"
	"strings"
	"testing"
)

func newStore(t *testing.T, dir string) *Store {
	t.Helper()
	s := NewStore(dir, func(msg string, args ...any) { t.Log(append([]any{msg}, args...)...) })
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAFollowersStoreKeepsRowsAndOffset(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := newStore(t, dir)
	check(t, s, "", -3)
	for i := range 2000 {
		must(t, s.Set(fmt.Sprintf("k%d", i%700), fmt.Appendf(nil, "v%d", i)))
		must(t, s.SetOffset(int64(i)))
	}
	must(t, s.Delete("k1"))
	check(t, s, "k0=v1400", 1999)
	must(t, s.Close())
	s = newStore(t, dir)
	check(t, s, "k0=v1400", 1999)
	check(t, s, "k699=v1399", 1999)
	check(t, s, "k1=", 1999)
}

func TestOffset0IsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := newStore(t, dir)
	must(t, s.Set("k", []byte("v")))
	must(t, s.SetOffset(0))
	must(t, s.Close())
	check(t, newStore(t, dir), "k=v", 0)
}

func TestAnOwnersStoreForgetsWhatWasNotAcknowledged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := newStore(t, dir)
	s.Own()
	must(t, s.Set("a", []byte("a1")))
	a1 := s.current("a")
	must(t, s.Set("b", []byte("b1")))
	must(t, s.Set("a", []byte("a2")))
	s.Acknowledged("a", a1, a1.value, 7)
	must(t, s.SetOffset(9)) // goka says so of any row
	check(t, s, "a=a2", 7)
	check(t, s, "b=b1", 7)
	must(t, s.Close())
	s = newStore(t, dir)
	check(t, s, "a=a1", 7)
	check(t, s, "b=", 7)
}

func TestAPinnedStoreKeepsItsOffset(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	s := newStore(t, dir)
	must(t, s.Set("a", []byte("a1")))
	must(t, s.SetOffset(1))
	must(t, s.flush())
	s.Pin()
	must(t, s.Set("a", []byte("a2")))
	must(t, s.SetOffset(2))
	must(t, s.Close())
	s = newStore(t, dir)
	check(t, s, "a=a2", 1)
	s.Pin()
	s.Unpin()
	must(t, s.Set("a", []byte("a3")))
	must(t, s.SetOffset(3))
	must(t, s.Close())
	check(t, newStore(t, dir), "a=a3", 3)
}

func TestTheIteratorSeesPrefixes(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "0"))
	for _, k := range []string{"b2", "a", "b1", "c"} {
		must(t, s.Set(k, []byte(k)))
	}
	must(t, s.SetOffset(3))
	for want, r := range map[string][2]string{"a b1 b2 c": {}, "b1 b2": {"b", ""}, "a b1": {"a", "b2"}} {
		it, err := s.IteratorWithRange([]byte(r[0]), []byte(r[1]))
		must(t, err)
		var keys []string
		for it.Next() {
			keys = append(keys, string(it.Key()))
		}
		must(t, it.Err())
		it.Release()
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("from %q before %q: %s, want %s", r[0], r[1], got, want)
		}
	}
	it, err := s.Iterator()
	must(t, err)
	defer it.Release()
	if !it.Seek([]byte("b2")) || !it.Next() || string(it.Key()) != "b2" {
		t.Errorf("after seeking b2, the next key is %q", it.Key())
	}
}

// Whatever becomes of the directory, the store opens: at worst as an empty one that says so by its offset, so that
// all rows are read again from the changelog.
func TestADamagedStoreIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"bit in the journal": func(t *testing.T, dir string) { edit(t, dir, "*.log", flip) },
		"bit in a table":     func(t *testing.T, dir string) { edit(t, dir, "*.ldb", flip) },
		"bit where it begins": func(t *testing.T, dir string) {
			edit(t, dir, "*.ldb", func(b []byte) []byte { b[5] ^= 0x10; return b }) // where the offset is
			must(t, os.Remove(glob(t, dir, "*.log")[0]))                            // and it has no newer one
		},
		"bit in the manifest": func(t *testing.T, dir string) { edit(t, dir, "MANIFEST-*", flip) },
		"no CURRENT":          func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "CURRENT"))) },
		"a table is missing": func(t *testing.T, dir string) {
			for _, f := range glob(t, dir, "*.ldb")[:1] {
				must(t, os.Remove(f))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "0")
			fill(t, dir)
			damage(t, dir)
			rows, said := readAll(t, dir)
			if rows == fillRows {
				t.Fatal("the damage was in what nobody reads")
			}
			s := NewStore(dir, func(msg string, _ ...any) { said += msg })
			must(t, s.Open())
			defer s.Close()
			if offset, _ := s.GetOffset(-3); offset != -3 {
				t.Errorf("%d of %d rows can be read, and the offset says %d", rows, fillRows, offset)
			}
			if n := strings.Count(said, "a store was set aside; "); n != 1 || len(glob(t, dir, "../0.damaged-*")) != 1 {
				t.Errorf("that it was set aside is said %d times: %q", n, said)
			}
			must(t, s.Set("key-7", []byte("again"))) // as from the changelog
			must(t, s.SetOffset(7))
			must(t, s.flush())
			check(t, s, "key-7=again", 7)
		})
	}
}

// A batch of which only a part was written is as if it had never been written: the store goes on from the one before, with the offset
// that belongs to it.
func TestATornBatchIsNoDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	fill(t, dir)
	edit(t, dir, "*.log", func(b []byte) []byte { return b[:len(b)-5] })
	rows, said := readAll(t, dir)
	s := newStore(t, dir)
	if offset, err := s.GetOffset(-3); err != nil || rows == fillRows || offset != int64(rows-1) || said != "" {
		t.Errorf("%d of %d rows can be read, and the offset says %d; %q, %v", rows, fillRows, offset, said, err)
	}
}

// A compaction may be the first to meet damage, in rows that nobody reads any more. Then every write fails, and the next life of
// the store would end likewise, if it were not set aside.
func TestDamageThatACompactionMeetsIsSetAside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "0")
	fill(t, dir)
	edit(t, dir, "*.ldb", func(b []byte) []byte {
		if len(b) < 100_000 { // all of a small table may be one block, which the store reads as it opens
			return b
		}
		return flip(b)
	})
	s := newStore(t, dir)
	var failed error
	for i := 0; failed == nil && i < 20*fillRows; i++ {
		failed = s.Set(fmt.Sprintf("key-%d", i%fillRows), fmt.Appendf(nil, "%0100d", i))
		if failed == nil && i%batchRows == 0 {
			failed = s.flush()
		}
	}
	if failed == nil {
		t.Fatal("no write failed")
	}
	_ = s.Close()
	s = newStore(t, dir)
	check(t, s, "key-7=", -3)
	if len(glob(t, dir, "../0.damaged-*")) != 1 {
		t.Error("it was not set aside")
	}
	must(t, s.Set("key-7", []byte("again")))
	must(t, s.flush())
	check(t, s, "key-7=again", -3)
}

// A disk that is full tears a store each time that it is opened. It is not filled up with what was set aside.
func TestFewDamagedStoresAreKept(t *testing.T) {
	dir, said := filepath.Join(t.TempDir(), "0"), 0
	for range 2 * keptAside {
		must(t, os.Mkdir(dir, 0o755))
		must(t, setAside(files.OS(), dir, "", func(string, ...any) { said++ }, nil))
	}
	if aside := glob(t, filepath.Dir(dir), "*"); len(aside) != keptAside || said != 2*keptAside {
		t.Errorf("there are %v, and it was said %d times", aside, said)
	}
}

const fillRows = 40_000

// fill makes a store with tables and, as an open store starts a new one, a journal that holds the last rows.
func fill(t *testing.T, dir string) {
	const last = fillRows - 10
	for _, rows := range [][2]int{{0, last}, {last, fillRows}} {
		s := newStore(t, dir)
		for i := rows[0]; i < rows[1]; i++ {
			must(t, s.Set(fmt.Sprintf("key-%d", i), fmt.Appendf(nil, "%0100d", i*i)))
			must(t, s.SetOffset(int64(i)))
		}
		must(t, s.Close())
	}
}

// readAll opens the store and reads every row, as a run does sooner or later, and returns how many it found and what it
// said.
func readAll(t *testing.T, dir string) (found int, said string) {
	t.Helper()
	s := NewStore(dir, func(msg string, _ ...any) { said += msg })
	must(t, s.Open())
	defer s.Close()
	for i := range fillRows {
		v, err := s.Get(fmt.Sprintf("key-%d", i))
		if err != nil {
			return found, said
		}
		if v != nil {
			found++
		}
	}
	return found, said
}

func flip(b []byte) []byte {
	b[len(b)/3] ^= 0x10
	return b
}

func edit(t *testing.T, dir, pattern string, change func([]byte) []byte) {
	t.Helper()
	for _, f := range glob(t, dir, pattern) {
		b, err := os.ReadFile(f)
		must(t, err)
		if len(b) > 10 {
			must(t, os.WriteFile(f, change(b), 0o644))
		}
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("there is no %s in %s", pattern, dir)
	}
	return files
}

// check looks at one row, "key=value" with nothing behind the sign for no row, and at the offset.
func check(t *testing.T, s *Store, row string, offset int64) {
	t.Helper()
	key, want, some := strings.Cut(row, "=")
	if some {
		if v, err := s.Get(key); err != nil || string(v) != want {
			t.Errorf("row %s is %q, %v; want %q", key, v, err, want)
		}
	}
	if o, err := s.GetOffset(-3); err != nil || o != offset {
		t.Errorf("offset is %d, %v; want %d", o, err, offset)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestTheLastBatchIsReadFromMemory, and never in place of a newer row.
func TestTheLastBatchIsReadFromMemory(t *testing.T) {
	s := newStore(t, t.TempDir())
	s.Own()
	rows := []string{"first", "second", "third"}
	for offset, want := range rows {
		must(t, s.Set("k", []byte(want)))
		s.Acknowledged("k", s.current("k"), []byte(want), int64(offset))
		for _, flush := range []func() error{func() error { return nil }, s.flush, s.flush} {
			must(t, flush())
			if v, err := s.Get("k"); err != nil || string(v) != want {
				t.Errorf("the row is %q, %v, and not %q", v, err, want)
			}
		}
	}
	s.Acknowledged("other", nil, []byte("row"), 3)
	must(t, s.Delete("k"))
	must(t, s.flush())
	if v, err := s.Get("k"); err != nil || v != nil {
		t.Errorf("the row that was deleted is %q, %v", v, err)
	}
}
