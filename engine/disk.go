package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"

	"stockflow/journal/files"
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

// refill is what becomes of a store that was set aside.
const refill = "its rows are read again from the changelog"

func (s *Store) openOrSetAside() (disk, error) {
	db, err := OpenDisk(s.files, s.dir, refill, s.log)
	if err != nil {
		return nil, err
	}
	return db, nil
}

func (s *Store) openDB() (*DB, error) { return openDB(s.files, s.dir) }

// damaged is Damaged for the store's directory.
func (s *Store) damaged(err error) error { return Damaged(s.files, s.dir, err) }

// OpenDisk opens the goleveldb in dir, and makes one where there is none. One that is damaged is set aside under another
// name, and a new one is begun; log is told so, and that refill is what happens now. So dir must hold nothing that can't
// be made again. Whoever reads from it or writes to it and gets an error gives that to Damaged.
func OpenDisk(fsys files.FS, dir, refill string, log func(msg string, args ...any)) (*DB, error) {
	if isMarked(fsys, dir) {
		if err := setAside(fsys, dir, refill, log, errors.New("it was found damaged at work")); err != nil {
			return nil, err
		}
	}
	db, err := openDB(fsys, dir)
	if err != nil && isDamage(err) {
		if err := setAside(fsys, dir, refill, log, err); err != nil {
			return nil, err
		}
		db, err = openDB(fsys, dir)
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// Damaged returns err, having remembered on disk if a read or a compaction met damage, so that the next OpenDisk sets the
// directory aside: opening alone does not read every block.
func Damaged(fsys files.FS, dir string, err error) error {
	if ldberrors.IsCorrupted(err) {
		if werr := files.Replace(fsys, markPath(dir), []byte(err.Error())); werr != nil {
			return errors.Join(err, werr)
		}
	}
	return err
}

// blockCache keeps what was read last of the tables of all databases of the process, so that its size depends neither on how many
// these are nor on how much is in them. The indexes and filters that are asked for a new row took 11.6 MB of it at 400,000 orders.
var blockCache = opt.NewLRU(32 << 20)

func openDB(fsys files.FS, dir string) (*DB, error) {
	stor, err := files.LevelDB(fsys, dir)
	if err != nil {
		return nil, err
	}
	return openOn(stor, &opt.Options{
		Strict:                 opt.StrictAll,
		Filter:                 filter.NewBloomFilter(10),
		WriteBuffer:            1 << 20,
		BlockCacher:            blockCache,
		BlockCacheEvictRemoved: true, // what is gone takes no room from what is there, and is not taken for a later table of its number
		OpenFilesCacheCapacity: 32,
		DisableBufferPool:      true, // it hands out buffers of any larger size, and a filter of 20 KiB would keep the 2 MiB that a compaction has used
	})
}

// OpenMemory makes a database in memory.
func OpenMemory() (*DB, error) { return openOn(storage.NewMemStorage(), nil) }

func openOn(stor storage.Storage, o *opt.Options) (*DB, error) {
	db, err := leveldb.Open(stor, o)
	if err != nil {
		_ = stor.Close() // the error that counts, which tells damage by its type, is err
		return nil, err
	}
	return &DB{db, stor}, nil
}

// DB is a LevelDB with the files that it lies in.
type DB struct {
	*leveldb.DB
	files io.Closer
}

// Close closes the database, and gives up its files.
func (d *DB) Close() error { return errors.Join(d.DB.Close(), d.files.Close()) }

// isDamage tells a damaged directory from one that can't be read or written now. A manifest that lost its end, or
// CURRENT naming what is not there, is reported as missing files.
func isDamage(err error) bool {
	return ldberrors.IsCorrupted(err) || errors.Is(err, os.ErrNotExist)
}

// keptAside is how many damaged directories are kept of a store. A disk that is full tears one after the other, and should not be
// filled with them.
const keptAside = 3

func setAside(fsys files.FS, dir, refill string, log func(msg string, args ...any), cause error) error {
	for n := 1; n <= keptAside; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", dir, n)
		if _, err := fsys.Stat(aside); err == nil {
			continue
		}
		if err := fsys.Rename(dir, aside); err != nil {
			return fmt.Errorf("setting aside a store: %w", err)
		}
		if err := fsys.SyncDir(filepath.Dir(dir)); err != nil {
			return fmt.Errorf("setting aside a store: %w", err)
		}
		log("a store was set aside; "+refill, "store", dir, "aside", aside, "cause", cause)
		return nil
	}
	if err := fsys.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing a damaged store: %w", err)
	}
	log("a damaged store was removed, as others of it were set aside before; "+refill, "store", dir, "cause", cause)
	return nil
}

func markPath(dir string) string { return filepath.Join(dir, "DAMAGED") }

func isMarked(fsys files.FS, dir string) bool {
	_, err := fsys.Stat(markPath(dir))
	return err == nil
}
