package files_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"stockflow/journal/files"
)

// small makes LevelDB write many files.
var small = &opt.Options{WriteBuffer: 16 << 10, CompactionTableSize: 8 << 10, Strict: opt.StrictAll}

func levelDB(t *testing.T, fsys files.FS, dir string) storage.Storage {
	t.Helper()
	s, err := files.LevelDB(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// own is goleveldb's own storage.
func own(t *testing.T, dir string) storage.Storage {
	t.Helper()
	s, err := storage.OpenFile(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const rows = 1000

// fill writes rows in a round, each with the round's number in it, and closes all.
func fill(t *testing.T, s storage.Storage, round int) {
	t.Helper()
	db, err := leveldb.Open(s, small)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := db.Put(fmt.Appendf(nil, "key %d", i), fmt.Appendf(nil, "%d %s", round, strings.Repeat("x", 100)), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, s storage.Storage, round int) {
	t.Helper()
	db, err := leveldb.Open(s, small)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		got, err := db.Get(fmt.Appendf(nil, "key %d", i), nil)
		if err != nil || !strings.HasPrefix(string(got), fmt.Sprint(round, " ")) {
			t.Fatalf("round %d, row %d: got %.10q, %v", round, i, got, err)
		}
	}
	if err := errors.Join(db.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// Either storage opens what the other has written, over and over.
func TestLevelDBsOwnStorageTakesTurns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "store")
	for round := 0; round < 6; round += 2 {
		fill(t, levelDB(t, files.OS(), dir), round)
		expect(t, own(t, dir), round)
		fill(t, own(t, dir), round+1)
		expect(t, levelDB(t, files.OS(), dir), round+1)
	}
	found, err := levelDB(t, files.OS(), dir).List(storage.TypeAll)
	if len(found) < 4 || err != nil {
		t.Errorf("there are only %v, %v", found, err)
	}
}

func TestLevelDBIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	fill(t, levelDB(t, files.OS(), dir), 0)
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOneLevelDBADirectory(t *testing.T) {
	dir := t.TempDir()
	s := levelDB(t, files.OS(), dir)
	if _, err := files.LevelDB(files.OS(), dir); !errors.Is(err, files.ErrLocked) {
		t.Error("a second storage: got", err)
	}
	l, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(); !errors.Is(err, storage.ErrLocked) {
		t.Error("a second database: got", err)
	}
	l.Unlock()
	l, err = s.Lock()
	if err != nil {
		t.Error("after the first: got", err)
	}
	l.Unlock()
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error("close: got", err)
	}
	if _, err := s.List(storage.TypeAll); !errors.Is(err, storage.ErrClosed) {
		t.Error("closed: got", err)
	}
	levelDB(t, files.OS(), dir)
}

// A CURRENT that says nothing, or names a manifest that is gone, is damage, and not a new database.
func TestAnUnreadableCURRENTIsDamage(t *testing.T) {
	for _, text := range []string{"", "MANIFEST-000001", "000001.log\n", "MANIFEST-000099\n"} {
		dir := t.TempDir()
		fill(t, levelDB(t, files.OS(), dir), 0)
		if err := os.WriteFile(filepath.Join(dir, "CURRENT"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := levelDB(t, files.OS(), dir)
		if db, err := leveldb.Open(s, small); err == nil {
			t.Errorf("%q: opened, %v", text, db.Close())
		}
	}
}

// Without a CURRENT, a manifest alone is a database that was just being made, and one with journals or tables is damaged.
func TestWithoutCURRENT(t *testing.T) {
	dir := t.TempDir()
	fill(t, levelDB(t, files.OS(), dir), 0)
	if err := os.Remove(filepath.Join(dir, "CURRENT")); err != nil {
		t.Fatal(err)
	}
	s := levelDB(t, files.OS(), dir)
	if db, err := leveldb.Open(s, small); err == nil {
		t.Error("rows are gone, and it opens", db.Close())
	}
	found, err := s.List(storage.TypeJournal | storage.TypeTable)
	for _, fd := range found {
		err = errors.Join(err, s.Remove(fd))
	}
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	fill(t, levelDB(t, files.OS(), dir), 1)
	expect(t, levelDB(t, files.OS(), dir), 1)
}

func TestNamesOfLevelDB(t *testing.T) {
	s := levelDB(t, files.OS(), t.TempDir())
	all := []storage.FileDesc{{Type: storage.TypeManifest, Num: 7}, {Type: storage.TypeJournal, Num: 0}, {Type: storage.TypeTable, Num: 12345678}, {Type: storage.TypeTemp, Num: 3}}
	for _, fd := range all {
		w, err := s.Create(fd)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(fd.String())); err != nil || w.Sync() != nil || w.Close() != nil {
			t.Fatal(err)
		}
		found, err := s.List(fd.Type)
		if len(found) != 1 || found[0] != fd || err != nil {
			t.Errorf("%v: got %v, %v", fd, found, err)
		}
	}
	moved := storage.FileDesc{Type: storage.TypeTable, Num: 4}
	if err := errors.Join(s.Rename(all[3], moved), s.Remove(all[0])); err != nil {
		t.Error(err)
	}
	if found, err := s.List(storage.TypeAll); len(found) != 3 || err != nil {
		t.Errorf("got %v, %v", found, err)
	}
	if _, err := s.Open(all[0]); !os.IsNotExist(err) {
		t.Error("removed: got", err)
	}
	if _, err := s.Create(storage.FileDesc{Type: 3}); !errors.Is(err, storage.ErrInvalidFile) {
		t.Error("of no type: got", err)
	}
}
