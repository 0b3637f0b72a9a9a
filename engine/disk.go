package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// disk is where a store keeps its rows: a goleveldb, or what the simulation has in its place. A batch is there as a
// whole or not at all, and one that is there has all before it.
type disk interface {
	Get(key []byte, ro *opt.ReadOptions) ([]byte, error) // leveldb.ErrNotFound if there is none
	Write(b *leveldb.Batch, wo *opt.WriteOptions) error
	NewIterator(r *util.Range, ro *opt.ReadOptions) iterator.Iterator
	GetSnapshot() (*leveldb.Snapshot, error)
	Close() error
}

func (s *Store) openOrSetAside() (disk, error) {
	db, err := OpenDisk(s.dir, "its rows are read again from the changelog", s.log)
	if err != nil {
		return nil, err
	}
	return db, nil
}

func (s *Store) openDB() (*leveldb.DB, error) { return openDB(s.dir) }

// damaged is Damaged for the store's directory.
func (s *Store) damaged(err error) error { return Damaged(s.dir, err) }

// OpenDisk opens the goleveldb in dir, and makes one where there is none. One that is damaged is set aside under another
// name, and a new one is begun; log is told so, and that refill is what happens now. So dir must hold nothing that can't
// be made again. Whoever reads from it or writes to it and gets an error gives that to Damaged.
func OpenDisk(dir, refill string, log func(msg string, args ...any)) (*leveldb.DB, error) {
	if isMarked(dir) {
		if err := setAside(dir, refill, log, errors.New("it was found damaged at work")); err != nil {
			return nil, err
		}
	}
	db, err := openDB(dir)
	if err != nil && isDamage(err) {
		if err := setAside(dir, refill, log, err); err != nil {
			return nil, err
		}
		db, err = openDB(dir)
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// Damaged returns err, having remembered on disk if a read or a compaction met damage, so that the next OpenDisk sets the
// directory aside: opening alone does not read every block.
func Damaged(dir string, err error) error {
	if ldberrors.IsCorrupted(err) {
		if werr := os.WriteFile(markPath(dir), []byte(err.Error()), 0o644); werr != nil {
			return errors.Join(err, werr)
		}
	}
	return err
}

func openDB(dir string) (*leveldb.DB, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	return leveldb.OpenFile(dir, &opt.Options{
		Strict:                 opt.StrictAll,
		Filter:                 filter.NewBloomFilter(10),
		WriteBuffer:            1 << 20,
		BlockCacheCapacity:     2 << 20, // the indexes and filters of a partition's tables at a million rows, or each read loads them again
		OpenFilesCacheCapacity: 32,
	})
}

// isDamage tells a damaged directory from one that can't be read or written now. A manifest that lost its end, or
// CURRENT naming what is not there, is reported as missing files.
func isDamage(err error) bool {
	return ldberrors.IsCorrupted(err) || errors.Is(err, os.ErrNotExist)
}

// keptAside is how many damaged directories are kept of a store. A disk that is full tears one after the other, and should not be
// filled with them.
const keptAside = 3

func setAside(dir, refill string, log func(msg string, args ...any), cause error) error {
	for n := 1; n <= keptAside; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", dir, n)
		if _, err := os.Stat(aside); err == nil {
			continue
		}
		if err := os.Rename(dir, aside); err != nil {
			return fmt.Errorf("setting aside a damaged store: %w", err)
		}
		log("a damaged store was set aside; "+refill, "store", dir, "aside", aside, "cause", cause)
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing a damaged store: %w", err)
	}
	log("a damaged store was removed, as others of it were set aside before; "+refill, "store", dir, "cause", cause)
	return nil
}

func markPath(dir string) string { return filepath.Join(dir, "DAMAGED") }

func isMarked(dir string) bool {
	_, err := os.Stat(markPath(dir))
	return err == nil
}
