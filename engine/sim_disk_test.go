package engine_test

import (
	"errors"
	"strconv"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"stockflow/engine"
)

// platter is the disk of a partition: what was written, in atomic batches, of which a crash loses none. A loss of power
// loses a suffix of those that were written since the last sync.
type platter struct {
	engine.Disk // nothing but what is here is asked of it
	open        *access
	content     content
	synced      content
	unsynced    [][]write
}

type content struct {
	rows   map[string][]byte
	offset int64
}

type write struct{ key, value []byte }

func newPlatter() *platter {
	return &platter{content: empty(), synced: empty()}
}

func empty() content { return content{map[string][]byte{}, -1} }

// access is a platter as one life has it: a closed one can't be read any more.
type access struct {
	engine.Disk
	p       *platter
	written func() // is told of each batch
}

var errClosed = errors.New("the disk is closed")

// Get implements engine.Disk.
func (a *access) Get(key []byte, _ *opt.ReadOptions) ([]byte, error) {
	if a.p.open != a {
		return nil, errClosed
	}
	if engine.DiskOffset(key) {
		if a.p.content.offset < 0 {
			return nil, leveldb.ErrNotFound
		}
		return strconv.AppendInt(nil, a.p.content.offset, 10), nil
	}
	if k, ok := engine.DiskRow(key); ok && a.p.content.rows[k] != nil {
		return a.p.content.rows[k], nil
	}
	return nil, leveldb.ErrNotFound
}

// Write implements engine.Disk.
func (a *access) Write(b *leveldb.Batch, _ *opt.WriteOptions) error {
	if a.p.open != a {
		return errClosed
	}
	var ws writes
	if err := b.Replay(&ws); err != nil {
		return err
	}
	a.p.content.take(ws)
	a.p.unsynced = append(a.p.unsynced, ws)
	a.written()
	return nil
}

// Close implements engine.Disk.
func (a *access) Close() error {
	if a.p.open == a {
		a.p.open = nil
	}
	return nil
}

type writes []write

func (ws *writes) Put(key, value []byte) {
	*ws = append(*ws, write{append([]byte{}, key...), append([]byte{}, value...)})
}
func (ws *writes) Delete(key []byte) { *ws = append(*ws, write{append([]byte{}, key...), nil}) }

func (c *content) take(ws []write) {
	for _, w := range ws {
		if engine.DiskOffset(w.key) {
			c.offset, _ = strconv.ParseInt(string(w.value), 10, 64)
			continue
		}
		if k, ok := engine.DiskRow(w.key); ok {
			c.rows[k] = w.value
		}
	}
}

// sync makes all that was written safe from a loss of power.
func (p *platter) sync() {
	for _, ws := range p.unsynced {
		p.synced.take(ws)
	}
	p.unsynced = nil
}

// losePower keeps the first n batches that were not synced.
func (p *platter) losePower(n int) {
	p.open = nil
	p.unsynced = p.unsynced[:n]
	p.sync()
	p.content = content{map[string][]byte{}, p.synced.offset}
	for k, v := range p.synced.rows {
		p.content.rows[k] = v
	}
}
