package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"stockflow/engine"
	"stockflow/journal/files"
	"stockflow/replay"
)

// stretch is how many messages of a key are folded to look back, at most: after as many comes a snapshot.
const stretch = 64

// partitionHistory are the history of one partition of a log. One goroutine writes into them, and any may read.
type partitionHistory struct {
	machine    replay.Machine
	partition  int32
	partitions int32
	dir        string // "" for annals in memory
	files      files.FS
	only       string // the one key that is written down, "" for all
	log        func(msg string, args ...any)
	broken     func(error) // told of a read that met damage
	hurry      func()      // told that somebody waits for what is not written yet

	writing *writing    // the goroutine's that writes
	tallies tallies     // likewise
	ruled   atomic.Bool // there may be something under ruledPrefix

	opened sync.RWMutex // held to read for as long as db is used, so that it isn't closed under a reader
	db     *engine.DB   // nil while they are closed

	mu      sync.Mutex // guards what follows
	mark    mark
	changed chan struct{} // closed when the mark moves, or the annals are opened or closed
}

// mark says how far annals have got. It is written with every batch.
type mark struct {
	Topic   string `json:"topic"`            // the id of the log, "" if the broker gives none
	Begin   int64  `json:"begin"`            // where the log began when the annals did: 0, if nothing of it had expired
	Next    int64  `json:"next"`             // all of the log before this offset is in the annals
	First   int64  `json:"first,omitempty"`  // the time of the first message, once there is one
	Latest  int64  `json:"latest,omitempty"` // the latest time of a message
	Letters int64  `json:"letters"`          // likewise of the dead letters' partition of the same number
}

func newPartitionHistory(m replay.Machine, partition, partitions int32, dir string, log func(string, ...any)) *partitionHistory {
	return &partitionHistory{machine: m, partition: partition, partitions: partitions, dir: dir, files: files.OS(), log: log,
		writing: new(writing), broken: func(error) {}, hurry: func() {}, changed: make(chan struct{})}
}

// name is how people call the partition.
func (a *partitionHistory) name() string { return fmt.Sprintf("%s/%d", a.machine.Log, a.partition) }

// refill is what becomes of annals that were set aside.
const refill = "it is made again from the log"

// open opens the annals of the log as the broker has it. Annals of another log, or of one that is now shorter than they
// are or has lost what they have not read, are begun anew.
func (a *partitionHistory) open(now bounds) error {
	topic, begin, end := now.ids[a.machine.Log], now.start(a.machine.Log, a.partition), now.end(a.machine.Log, a.partition)
	db, err := a.disk()
	if err != nil {
		return fmt.Errorf("opening the history of %s: %w", a.name(), err)
	}
	m, err := readMark(db)
	if err != nil {
		return errors.Join(fmt.Errorf("opening the history of %s: %w", a.name(), a.damaged(err)), db.Close())
	}
	if stale := m.Topic != topic || m.Next > end || m.Next < begin; stale && m.Next > 0 {
		a.log("the history of a log is begun anew", "log", a.machine.Log, "partition", a.partition,
			"has", m.Next, "begins", begin, "ends", end)
		if err := clear(db); err != nil {
			return errors.Join(fmt.Errorf("emptying the history of %s: %w", a.name(), a.damaged(err)), db.Close())
		}
		m = mark{}
	}
	if m.Next == 0 {
		m.Topic, m.Begin, m.Next = topic, begin, begin
	}
	if m.Letters > now.end(engine.DeadLetters, a.partition) {
		m.Letters = 0
	}
	m.Letters = max(m.Letters, now.start(engine.DeadLetters, a.partition))
	ruled, err := anyRuled(db)
	if err != nil {
		return errors.Join(fmt.Errorf("opening the history of %s: %w", a.name(), a.damaged(err)), db.Close())
	}
	a.ruled.Store(ruled)
	a.tallies = tallies{}
	a.opened.Lock()
	a.db = db
	a.opened.Unlock()
	a.move(m)
	return nil
}

func (a *partitionHistory) disk() (*engine.DB, error) {
	if a.dir == "" {
		return engine.OpenMemory()
	}
	return engine.OpenDisk(a.files, a.dir, refill, a.log)
}

// damaged makes annals that a read found damaged be set aside when they are opened the next time.
func (a *partitionHistory) damaged(err error) error {
	if a.dir == "" {
		return err
	}
	return engine.Damaged(a.files, a.dir, err)
}

func readMark(db *engine.DB) (m mark, err error) {
	text, err := db.Get([]byte(markName), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(text, &m)
}

// anyRuled reports whether a letter has told something of any message.
func anyRuled(db *engine.DB) (bool, error) {
	it := db.NewIterator(util.BytesPrefix([]byte(ruledPrefix)), nil)
	defer it.Release()
	return it.First(), it.Error()
}

// clear removes all there is.
func clear(db *engine.DB) error {
	it := db.NewIterator(nil, nil)
	defer it.Release()
	b := new(leveldb.Batch)
	for it.Next() { // the mark is the first: who dies in between begins at the log's beginning too
		if b.Delete(it.Key()); b.Len() == 4096 {
			if err := db.Write(b, nil); err != nil {
				return err
			}
			b.Reset()
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	return db.Write(b, nil)
}

// close waits for those who read.
func (a *partitionHistory) close() error {
	a.opened.Lock()
	defer a.opened.Unlock()
	if a.db == nil {
		return nil
	}
	db := a.db
	a.db = nil
	a.move(a.at())
	return db.Close()
}

// at returns how far the annals are.
func (a *partitionHistory) at() mark {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mark
}

// move sets the mark, and wakes those who wait for it.
func (a *partitionHistory) move(m mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mark = m
	close(a.changed)
	a.changed = make(chan struct{})
}

// moving returns how far the annals are, and a channel that is closed when that changes.
func (a *partitionHistory) moving() (mark, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mark, a.changed
}
