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
	if _, err := os.Stat(s.markPath()); err == nil {
		if err := s.setAside(errors.New("a read found it damaged")); err != nil {
			return nil, err
		}
	}
	db, err := s.openDB()
	if err != nil && isDamage(err) {
		if err := s.setAside(err); err != nil {
			return nil, err
		}
		db, err = s.openDB()
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

func (s *Store) openDB() (*leveldb.DB, error) {
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return nil, err
	}
	return leveldb.OpenFile(s.dir, &opt.Options{
		Strict:                 opt.StrictAll,
		Filter:                 filter.NewBloomFilter(10),
		WriteBuffer:            1 << 20,
		BlockCacheCapacity:     512 << 10,
		OpenFilesCacheCapacity: 32,
	})
}

// isDamage tells a damaged directory from one that can't be read or written now. A manifest that lost its end, or
// CURRENT naming what is not there, is reported as missing files.
func isDamage(err error) bool {
	return ldberrors.IsCorrupted(err) || errors.Is(err, os.ErrNotExist)
}

func (s *Store) setAside(cause error) error {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", s.dir, n)
		if _, err := os.Stat(aside); err == nil {
			continue
		}
		if err := os.Rename(s.dir, aside); err != nil {
			return fmt.Errorf("setting aside a damaged store: %w", err)
		}
		s.log("a damaged store was set aside; its rows are read again from the changelog", "store", s.dir, "aside", aside, "cause", cause)
		return nil
	}
}

func (s *Store) markPath() string { return filepath.Join(s.dir, "DAMAGED") }

// damaged remembers on disk that a read met damage, so that the next Open sets the directory aside: opening alone
// does not read every block.
func (s *Store) damaged(err error) error {
	if ldberrors.IsCorrupted(err) {
		if werr := os.WriteFile(s.markPath(), []byte(err.Error()), 0o644); werr != nil {
			return errors.Join(err, werr)
		}
	}
	return err
}
