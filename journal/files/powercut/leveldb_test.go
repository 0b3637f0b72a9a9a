//go:build !race

// LevelDB closes a channel that a compaction may still write to, and recovers: the race detector takes that for what it is.

package powercut_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"stockflow/journal/files"
	"stockflow/journal/files/powercut"
)

const store = "/data/store"

// withLevelDB opens the store and closes it after use.
func withLevelDB(fsys files.FS, use func(*leveldb.DB) error) error {
	s, err := files.LevelDB(fsys, store)
	if err != nil {
		return err
	}
	db, err := leveldb.Open(s, &opt.Options{WriteBuffer: 4 << 10, CompactionTableSize: 4 << 10})
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(use(db), db.Close(), s.Close())
}

func value(i int) []byte { return fmt.Appendf(nil, "%d %s", i, strings.Repeat("v", 300)) }

// write puts rows from a number on, each with a sync, and tells answer of each that is done.
func write(from, n int, answer func(int)) func(*leveldb.DB) error {
	return func(db *leveldb.DB) error {
		for i := from; i < from+n; i++ {
			if err := db.Put(fmt.Appendf(nil, "%05d", i), value(i), &opt.WriteOptions{Sync: true}); err != nil {
				return err
			}
			answer(i)
		}
		return nil
	}
}

// levelDBCuts cuts the power some times while rows are written, and returns what is wrong with the rows that were answered.
func levelDBCuts(seed uint64, layer func(files.FS) files.FS) error {
	rng := rand.New(rand.NewPCG(seed, 9))
	d, answered := powercut.New(), 0
	for life := range 4 {
		d.CutAt(rng.IntN(150))
		err := withLevelDB(layer(d), write(answered, 60, func(i int) { answered = i + 1 }))
		if err != nil && !errors.Is(err, powercut.ErrOff) && !isOff(d) {
			return fmt.Errorf("life %d: %w", life, err)
		}
		d = d.Cut(rng)
	}
	return withLevelDB(d, func(db *leveldb.DB) error {
		for i := range answered {
			if got, err := db.Get(fmt.Appendf(nil, "%05d", i), nil); err != nil || string(got) != string(value(i)) {
				return fmt.Errorf("row %d of %d: %.10q, %w", i, answered, got, err)
			}
		}
		return nil
	})
}

func isOff(d *powercut.Disk) bool {
	select {
	case <-d.Off():
		return true
	default:
		return false
	}
}

func TestLevelDBKeepsWhatItHasSynced(t *testing.T) {
	for seed := range uint64(200) {
		if err := levelDBCuts(seed, func(d files.FS) files.FS { return d }); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// nameless never syncs a directory.
type nameless struct{ files.FS }

func (nameless) SyncDir(string) error { return nil }

func TestLevelDBNeedsItsNames(t *testing.T) {
	for seed := range uint64(caught) {
		if err := levelDBCuts(seed, func(d files.FS) files.FS { return nameless{d} }); err != nil {
			t.Logf("seed %d: %v", seed, err)
			return
		}
	}
	t.Errorf("not caught by %d cuts", caught)
}

// A compaction goes on when the disk does, though it could neither write its table nor remove what it had of it.
func TestLevelDBOutlivesADiskThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, refused, rng, well := powercut.New(), map[powercut.Kind]int{}, rand.New(rand.NewPCG(1, 10)), time.Now().Add(9*time.Minute)
		d.Inject(func(op powercut.Operation) powercut.Fault {
			changes := op.Kind == powercut.Write || op.Kind == powercut.Remove
			if time.Now().After(well) || !strings.HasSuffix(op.Name, ".ldb") || !changes || rng.IntN(3) > 0 {
				return powercut.Fault{}
			}
			refused[op.Kind]++
			return powercut.Fault{Err: syscall.EIO}
		})
		answered := 0
		put := func(db *leveldb.DB) error {
			for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				if write(answered, 1, func(i int) { answered = i + 1 })(db) == nil && answered%100 == 0 {
					answered = 0 // so that there is something to compact
				}
			}
			return nil
		}
		if err := withLevelDB(d, put); err != nil {
			t.Error(err)
		}
		if refused[powercut.Write] == 0 || refused[powercut.Remove] == 0 {
			t.Errorf("only %v were refused", refused)
		}
		time.Sleep(time.Minute) // it has goroutines for a while
	})
}
