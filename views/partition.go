package views

import (
	"path/filepath"
	"strconv"

	"github.com/lovoo/goka/storage"

	"stockflow/engine"
)

// partition is the store of one partition of a table. It tells the table when it has been read to the end, and
// isn't closed while it is read.
type partition struct {
	storage.Storage
	indexed   *engine.Store // the same store, for lists
	recovered bool          // guarded by the table's mu

	onRecovered func()
	onClose     func()
}

// MarkRecovered is called by goka when the changelog was read up to where it ended at the start.
func (p *partition) MarkRecovered() error {
	if err := p.Storage.MarkRecovered(); err != nil {
		return err
	}
	p.onRecovered()
	return nil
}

// Close first makes the table answer ErrRecovering, having waited for the reads that run.
func (p *partition) Close() error {
	p.onClose()
	return p.Storage.Close()
}

// begin makes n partitions that are yet to be read.
func (t *Table[S]) begin(n int, broken func(error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = broken
	if len(t.effects) != n {
		t.effects = newEffects(n)
	}
	t.partitions = make([]*partition, n)
	for i := range t.partitions {
		store := engine.NewStore(filepath.Join(t.dir, strconv.Itoa(i)), t.log.Warn)
		store.Index(t.storeIndex())
		store.Files(t.files)
		store.Within(engine.EndWithin(t.conn, t.name, int32(i)))
		p := &partition{Storage: store, indexed: store}
		p.onRecovered = func() { t.markRecovered(p) }
		p.onClose = func() { t.end("its stores to be opened") }
		t.partitions[i] = p
	}
}

func (t *Table[S]) markRecovered(p *partition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	again := p.recovered
	p.recovered = true
	if again || t.waitsLocked() != nil {
		return
	}
	close(t.recovered)
	t.log.Info("the table can be read", "partitions", len(t.partitions))
}

// end makes the table unreadable and remembers why. It returns when nobody reads any more.
func (t *Table[S]) end(obstacle string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.obstacle = obstacle
	if t.partitions != nil && t.waitsLocked() == nil {
		t.recovered = make(chan struct{})
	}
	t.partitions = nil
}
