package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stockflow/journal/files"
	"stockflow/journal/sealed"
)

// copier makes the copy of a journal. It writes new files, which the manifest of the copy doesn't name; what it has so far is
// in a second manifest, the progress. In the end one durable change of the manifest makes all of them count.
type copier struct {
	o      *Options
	source *Journal
	name   string // of the directory of the copy

	lock   files.File
	dir    *sealedDir
	exists bool          // there is a copy
	before manifest      // of it
	old    []*sealedFile // that it has
	files  []*sealedFile // that it is to have
	number uint64        // of the next file
	report Report
}

// What a directory may have besides the files of a journal.
const (
	backupLock     = "backup.lock"
	backupProgress = "PROGRESS"
)

// open makes the directory, takes its lock, and reads what is there.
func (c *copier) open() error {
	if err := files.MakeDir(c.o.Files, c.name); err != nil {
		return err
	}
	if err := c.takeLock(); err != nil {
		return err
	}
	var err error
	c.before, err = readManifest(c.o.Files, c.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.exists = err == nil
	if err := c.o.Files.SyncDir(c.name); err != nil { // what was read stays, so what it doesn't name may go
		return err
	}
	c.dir = &sealedDir{fsys: c.o.Files, dir: c.name, id: c.source.id, cache: sealed.NewCache(indexMemory)}
	if !c.exists {
		return c.checkEmpty()
	}
	return nil
}

func (c *copier) takeLock() (err error) {
	c.lock, err = c.o.Files.OpenFile(filepath.Join(c.name, backupLock), os.O_RDWR|os.O_CREATE, filePerm)
	if err == nil {
		err = c.lock.Lock(files.Exclusive)
	}
	return err
}

// checkEmpty refuses a directory that has something else than what a copy that wasn't finished leaves.
func (c *copier) checkEmpty() error {
	entries, err := c.o.Files.ReadDir(c.name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".new")
		_, isTail := tailNumber(name)
		_, isSealed := sealedNumber(name)
		if !isTail && !isSealed && name != backupLock && name != backupProgress && name != filepath.Base(manifestName("")) {
			return fmt.Errorf("the directory isn't empty: it has %s", e.Name())
		}
	}
	return nil
}

// continueBackup refuses to continue what isn't a backup of this journal.
func (c *copier) continueBackup() error {
	if !c.exists {
		return nil
	}
	switch m := c.source.manifest; {
	case c.before.Journal != m.Journal:
		return errors.New("the directory has a backup of another journal")
	case !c.before.Backup:
		return errors.New("the directory has a journal that is no backup, or isn't one any more as it was started")
	case c.before.Deployment != m.Deployment:
		return errors.New("the directory has a backup of another deployment")
	}
	return nil
}

// copy brings the copy up to the source. m is its manifest, but for which files count.
func (c *copier) copy(ctx context.Context, m manifest) error {
	if err := c.resume(&m); err != nil {
		return err
	}
	for _, k := range []Kind{Log, Table} {
		if err := c.copyKind(ctx, k, m); err != nil {
			return err
		}
	}
	c.report.Position = c.source.Durable()
	if err := c.tidy(ctx, m); err != nil {
		return err
	}
	return c.finish(m)
}

// resume opens the files that the copy has, and those that a run before, which didn't finish, had for it.
func (c *copier) resume(m *manifest) error {
	old, err := c.dir.openAll(c.before.Sealed)
	c.old = old
	for _, f := range old {
		err = errors.Join(err, f.err)
	}
	if err != nil {
		return fmt.Errorf("the backup of before is damaged, make a new one in an empty directory: %w", err)
	}
	c.files = slices.Clone(old)
	progress, err := c.readProgress(*m)
	if err == nil {
		m.Deployment = progress.Deployment
		c.files = c.reopen(progress.Sealed)
	} else if !errors.Is(err, fs.ErrNotExist) {
		c.o.Log.Warn("what a backup that wasn't finished has copied is copied again", "dir", c.name, "error", err)
	}
	return c.removeStrays()
}

// readProgress returns the progress of a run that began with the same copy. If there is none the error is fs.ErrNotExist.
func (c *copier) readProgress(m manifest) (manifest, error) {
	progress, err := readManifestFile(c.o.Files, filepath.Join(c.name, backupProgress))
	if err != nil {
		return progress, err
	}
	if progress.Journal != m.Journal || progress.FirstTail != c.before.FirstTail || progress.Restored != m.Restored || progress.Backup != m.Backup {
		return progress, fs.ErrNotExist
	}
	if m.Backup && progress.Deployment != m.Deployment {
		return progress, fs.ErrNotExist
	}
	return progress, nil
}

// reopen opens the files of a progress, up to the first that can't be read.
func (c *copier) reopen(entries []sealedEntry) (all []*sealedFile) {
	for _, e := range entries {
		i := slices.IndexFunc(c.old, func(f *sealedFile) bool { return f.Number == e.Number })
		if i >= 0 {
			all = append(all, c.old[i])
			continue
		}
		f := c.dir.open(e)
		if f.err != nil {
			break
		}
		all = append(all, f)
	}
	return all
}

// removeStrays removes what neither the copy nor the progress has.
func (c *copier) removeStrays() error {
	present, err := c.dir.numbers()
	if err != nil {
		return err
	}
	if c.number = 1; len(present) > 0 {
		c.number = present[len(present)-1] + 1
	}
	for _, n := range strays(present, entriesOf(append(slices.Clone(c.old), c.files...))) {
		if err := c.o.Files.Remove(sealedName(c.name, n)); err != nil {
			return err
		}
	}
	return c.removeTails(c.before.FirstTail)
}

// removeTails removes all tail files but one.
func (c *copier) removeTails(but uint64) error {
	numbers, err := tailNumbers(c.o.Files, c.name)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n == but {
			continue
		}
		if err := c.o.Files.Remove(tailName(c.name, n)); err != nil {
			return err
		}
	}
	return nil
}

// copyKind copies the records of all topics of a kind that the copy doesn't have.
func (c *copier) copyKind(ctx context.Context, k Kind, m manifest) error {
	if k == Table && c.lacksTombstones() {
		if err := c.change(m, slices.DeleteFunc(slices.Clone(c.files), func(f *sealedFile) bool { return f.Tables })); err != nil {
			return err
		}
	}
	for {
		f, err := c.copyFile(ctx, k)
		if f == nil || err != nil {
			return err
		}
		c.report.Bytes += f.reader.Size()
		if err := c.change(m, append(slices.Clone(c.files), f)); err != nil {
			return err
		}
	}
}

// lacksTombstones reports whether compaction of the source has taken away a tombstone that the copy doesn't have. Then it may
// have the row that was deleted, and tables are copied as a whole.
func (c *copier) lacksTombstones() bool {
	for partition, offset := range c.source.manifest.Tombstones {
		if last := lastOf(c.files, partition); last >= 0 && offset > last {
			return true
		}
	}
	return false
}

// errEnough ends the reading when a file is large enough.
var errEnough = errors.New("the file is large enough")

// copyFile copies records that the copy doesn't have into one more file, nil if it has all.
func (c *copier) copyFile(ctx context.Context, k Kind) (*sealedFile, error) {
	e := sealedEntry{Number: c.number, Tables: k == Table}
	c.number++
	return c.dir.write(e, func(w *sealed.Writer) error {
		for _, p := range c.source.partitionsOf(k) {
			if err := c.copyPartition(ctx, p, w); errors.Is(err, errEnough) {
				return nil
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *copier) copyPartition(ctx context.Context, p *Partition, w *sealed.Writer) error {
	next := lastOf(c.files, p.number) + 1
	_, end := p.Bounds(Durable)
	if next > end {
		return fmt.Errorf("the backup of before has %s up to offset %d, the journal up to %d", p, next-1, end-1)
	}
	var buf []byte
	return p.Read(ctx, next, end, Durable, func(r Record) error {
		if w.Size() >= c.o.copyBytes {
			return errEnough
		}
		s := sealRecord(&r, buf)
		buf = s.Data
		c.report.Records++
		return w.Add(p.number, s)
	})
}

// change makes durable, in the progress, which files the copy is to have. Those that it isn't to have any more go, unless the
// copy of before has them.
func (c *copier) change(m manifest, to []*sealedFile) error {
	was := c.files
	c.files = to
	m.FirstTail, m.Sealed = c.before.FirstTail, entriesOf(to)
	if err := m.writeFile(c.o.Files, filepath.Join(c.name, backupProgress)); err != nil {
		return err
	}
	c.discard(was)
	return nil
}

// discard removes files that neither this copy nor the one of before has.
func (c *copier) discard(files []*sealedFile) {
	for _, f := range files {
		if !slices.Contains(c.files, f) && !slices.Contains(c.old, f) {
			c.dir.discard(f)
		}
	}
}
