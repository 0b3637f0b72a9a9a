package engine_test

import (
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"stockflow/engine"
	"stockflow/journal/files"
)

// What is kept in memory of what was read has one bound, however many stores there are and however much is in them.
func TestStoresShareTheMemoryForBlocks(t *testing.T) {
	const (
		stores = 3
		bound  = 32 << 20
		size   = bound/stores + 4<<20 // of a store: none has as much, all have more
	)
	random := rand.NewChaCha8([32]byte{})
	held := 0
	var all []*engine.DB
	for range stores {
		db := newDisk(t)
		all = append(all, db)
		for i := range fillDisk(t, db, random, size, 1000) {
			if _, err := db.Get(diskKey(i, 0), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, db := range all {
		held += heldBlocks(t, db)
	}
	if held < bound/2 || held > bound {
		t.Errorf("of %d bytes that were read %d are held", stores*size, held)
	}
}

// To look for rows that aren't there takes the indexes and filters of tables into memory, and these take no more of it than they have.
func TestBlocksTakeNoMoreMemoryThanTheyHave(t *testing.T) {
	const size = 8 << 20
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // so that what compactions have used is there to be used again
	db := newDisk(t)
	for i := range fillDisk(t, db, rand.NewChaCha8([32]byte{}), size, 60) / 256 { // few, as one in a hundred reads a block of rows too
		if has, err := db.Has(diskKey(256*i, 1), nil); has || err != nil {
			t.Fatal(has, err)
		}
	}
	if held := heldBlocks(t, db); held == 0 || held > size/16 {
		t.Errorf("to look for what isn't among %d bytes takes %d", size, held)
	}
}

func newDisk(t *testing.T) *engine.DB {
	t.Helper()
	db, err := engine.OpenDisk(files.OS(), filepath.Join(t.TempDir(), "store"), "", func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// fillDisk fills a store with so many bytes of rows that can't be compressed, not in their order, and returns how many these are.
func fillDisk(t *testing.T, db *engine.DB, random *rand.ChaCha8, size, rowSize int) (rows int) {
	t.Helper()
	row := make([]byte, rowSize)
	rows = size / len(row)
	for _, i := range rand.New(random).Perm(rows) {
		_, _ = random.Read(row)
		if err := db.Put(diskKey(i, 0), row, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.CompactRange(util.Range{}); err != nil {
		t.Fatal(err)
	}
	return rows
}

// diskKey is one of two keys that lie beside each other.
func diskKey(i int, second byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(i)), second)
}

func heldBlocks(t *testing.T, db *engine.DB) int {
	t.Helper()
	var s leveldb.DBStats
	if err := db.Stats(&s); err != nil {
		t.Fatal(err)
	}
	return s.BlockCacheSize
}
