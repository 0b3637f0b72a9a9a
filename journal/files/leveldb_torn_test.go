package files_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"stockflow/journal/files"
)

const (
	tornBatches = 6
	batchKeys   = 400 // so that a batch takes several blocks
)

// tornStore makes a database of batches that are all in its journal, whose name it returns with what is in it.
func tornStore(t *testing.T, dir string) (journal string, content []byte) {
	t.Helper()
	s := levelDB(t, files.OS(), dir)
	db, err := leveldb.Open(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range tornBatches {
		b := new(leveldb.Batch)
		for k := range batchKeys {
			b.Put(fmt.Appendf(nil, "%d/%d", n, k), bytes.Repeat([]byte{'x'}, 150))
		}
		if err := db.Write(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	content, err = os.ReadFile(names[0])
	if err := errors.Join(err, db.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	return names[0], content
}

// batchesIn opens a database strictly and returns how many batches are in it, which must be there as a whole and be the first ones.
func batchesIn(t *testing.T, dir string) (n int, err error) {
	t.Helper()
	s := levelDB(t, files.OS(), dir)
	defer func() { _ = s.Close() }()
	db, err := leveldb.Open(s, &opt.Options{Strict: opt.StrictAll})
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	var keys []int
	for n := range tornBatches {
		found := 0
		for k := range batchKeys {
			if has, err := db.Has(fmt.Appendf(nil, "%d/%d", n, k), nil); err != nil {
				t.Fatal(err)
			} else if has {
				found++
			}
		}
		keys = append(keys, found)
	}
	n, _ = slices.BinarySearchFunc(keys, 0, func(found, _ int) int { return map[bool]int{true: -1, false: 1}[found == batchKeys] })
	for i, found := range keys {
		if want := map[bool]int{true: batchKeys}[i < n]; found != want {
			t.Fatalf("batch %d has %d keys, with %d batches that are whole", i, found, n)
		}
	}
	return n, nil
}

// What was being written when the process died is cut off, wherever that was, and all before it is there.
func TestATornBatchIsCutOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	journal, content := tornStore(t, dir)
	whole := t.TempDir()
	if err := os.CopyFS(whole, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	had := tornBatches
	for size := len(content); size >= 0; size -= 7919 {
		for _, zeros := range []int{0, 5000} {
			if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(whole)),
				os.WriteFile(journal, append(bytes.Clone(content[:size]), make([]byte, zeros)...), 0o600)); err != nil {
				t.Fatal(err)
			}
			n, err := batchesIn(t, dir)
			if zeros > 0 && ldberrors.IsCorrupted(err) {
				continue // zeros in the midst of a chunk are found by its checksum
			}
			if err != nil || n > had || n < had-1 {
				t.Fatalf("%d bytes and %d zeros: %d batches, and %d were there with more; %v", size, zeros, n, had, err)
			}
			had = n
		}
	}
	if had > 0 {
		t.Errorf("an empty journal has %d batches", had)
	}
}

// What is wrong before the end is damage.
func TestDamageIsNotCutOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	journal, content := tornStore(t, dir)
	for _, at := range []int{6, 5, len(content) / 2} { // the kind and the length of the first chunk, and what is in another
		b := bytes.Clone(content)
		b[at] ^= 0xff
		if err := os.WriteFile(journal, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := batchesIn(t, dir); !ldberrors.IsCorrupted(err) {
			t.Errorf("with another byte %d: %v", at, err)
		}
		if left, err := os.ReadFile(journal); err != nil || len(left) != len(content) {
			t.Errorf("with another byte %d: %d bytes are left of %d, %v", at, len(left), len(content), err)
		}
	}
}
