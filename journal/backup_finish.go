package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"stockflow/journal/sealed"
)

// tidy compacts and merges the files of the copy, as the journal does with its own: so there are few, however often it was
// brought up to date.
func (c *copier) tidy(ctx context.Context, m manifest) error {
	for {
		entry, from, keep := c.toTidy()
		if len(from) == 0 {
			return nil
		}
		entry.Number = c.number
		c.number++
		made, err := c.dir.write(entry, merge(ctx, from, keep))
		if err != nil {
			return err
		}
		if err := c.change(m, inPlaceOf(c.files, from, made)); err != nil {
			return err
		}
	}
}

// toTidy returns files of the copy to put one in the place of, none if that isn't worth it. Nobody follows the copy, so
// tombstones stay.
func (c *copier) toTidy() (e sealedEntry, from []*sealedFile, keep filter) {
	day := c.source.lastTime() - compactionDelay.Milliseconds()
	old := func(f *sealedFile) bool {
		return !slices.ContainsFunc(f.reader.Extents(), func(e sealed.Extent) bool { return e.Until > day })
	}
	if files, compacted := toCompact(c.files, compactionBytes, old); len(files) > 0 {
		w := &compaction{files: files, compacted: compacted, followed: func(uint32) bool { return false }}
		return sealedEntry{Tables: true, Compacted: true}, files, w.filter
	}
	if files := toMerge(c.files, func(*sealedFile) bool { return true }); len(files) > 0 {
		return sealedEntry{Tables: files[0].Tables}, files, keepAll
	}
	return e, nil, nil
}

// lastTime returns the time of the last record.
func (j *Journal) lastTime() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.time
}

// finish makes the new files count: one change of the manifest, after which the old ones go.
func (c *copier) finish(m manifest) error {
	if c.exists && slices.Equal(c.old, c.files) && c.tailPosition() == c.source.Durable() {
		return c.clean(c.before.FirstTail) // nothing is new
	}
	m.FirstTail, m.Sealed = c.before.FirstTail+1, entriesOf(c.files)
	if err := c.writeTail(m.FirstTail); err != nil {
		return fmt.Errorf("write the tail file: %w", err)
	}
	if err := m.write(c.o.Files, c.name); err != nil {
		return err
	}
	old := c.old
	c.old = nil
	c.discard(old)
	return c.clean(m.FirstTail)
}

// clean removes what the copy, whose tail file has a number, doesn't need. If it isn't done the next run does it.
func (c *copier) clean(tail uint64) error {
	if err := c.removeTails(tail); err != nil {
		return err
	}
	err := c.o.Files.Remove(filepath.Join(c.name, backupProgress))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// tailPosition returns the position that the copy is of, -1 if it can't be told.
func (c *copier) tailPosition() Position {
	t, err := openTail(c.o, c.name, c.before.FirstTail)
	if err != nil {
		return -1
	}
	b, err := t.read(nil)
	if err := errors.Join(err, t.file.Close()); err != nil {
		return -1
	}
	head, _, ok := readFrame(c.source.id, t.number, tailHeader, b[min(len(b), tailHeader):])
	if !ok {
		return -1
	}
	return head.first
}

// writeTail makes the one tail file of the copy. It has a checkpoint of the source and nothing else, as all records are in
// sealed files.
func (c *copier) writeTail(number uint64) error {
	j := c.source
	f := &frame{at: tailHeader, first: j.Durable(), entries: 1}
	j.mu.Lock()
	f.buf = j.appendCheckpoint(make([]byte, frameHeader))
	j.mu.Unlock()
	o := *c.o
	o.TailBytes = max(minTailBytes, (f.fileEnd()+tailHeader-1)/tailHeader*tailHeader)
	t, err := makeTail(&o, c.name, j.id, number)
	if err != nil {
		return err
	}
	f.tail = t
	f.finish(j.id, f.first, j.epoch)
	_, err = t.file.WriteAt(f.buf, f.at) // durable, as the file was opened with DSync
	return errors.Join(err, t.file.Close())
}

// close closes all files, and gives the lock back.
func (c *copier) close() (err error) {
	for _, f := range append(slices.Clone(c.old), c.files...) {
		if f.reader != nil {
			err = errors.Join(err, f.reader.Close())
			f.reader = nil
		}
	}
	if c.lock != nil {
		err = errors.Join(err, c.lock.Close())
	}
	return err
}
