package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Report says what a backup has, and what it took to bring it up to that.
type Report struct {
	Position Position // of the journal: the backup has all that lies before it
	Records  int64    // that were copied
	Bytes    int64    // that were written for them
}

// Backup copies the journal in a directory, which another process may have open, up to a position that is durable, or all that is
// if the position is negative; what is sealed is copied even if it lies behind it. The copy is a journal too, in a directory
// that is made if it doesn't exist. If that has an older backup of the same journal, only what is new is copied.
//
// Until Backup has returned nil the directory has the backup of before, whole. It may be killed at any moment and run again; what
// it has copied by then isn't copied again.
func Backup(ctx context.Context, from string, upTo Position, to string, o Options) (Report, error) {
	report, err := backup(ctx, from, upTo, to, o.withDefaults())
	if err != nil {
		err = fmt.Errorf("back up %s to %s: %w", from, to, err)
	}
	return report, err
}

func backup(ctx context.Context, from string, upTo Position, to string, o Options) (r Report, err error) {
	source, err := OpenReading(from, upTo, o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	c := copier{o: &o, source: source, name: to}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.open(); err != nil {
		return r, err
	}
	if err := c.continueBackup(); err != nil {
		return r, err
	}
	m := source.manifest
	m.Backup = true
	err = c.copy(ctx, m)
	return c.report, err
}

// Restore makes a journal in an empty directory from a backup, up to its end. It has the id of the original, and another
// deployment: what was told to the outside by the one is not mistaken for the other's. Until [Journal.TakeOver] it is marked as
// restored. It may be killed at any moment and run again, until the directory has a journal.
func Restore(ctx context.Context, from, to string, o Options) error {
	if err := restore(ctx, from, to, o.withDefaults()); err != nil {
		return fmt.Errorf("restore %s to %s: %w", from, to, err)
	}
	return nil
}

func restore(ctx context.Context, from, to string, o Options) (err error) {
	source, err := OpenReading(from, -1, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	c := copier{o: &o, source: source, name: to}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.open(); err != nil {
		return err
	}
	if c.exists {
		return fmt.Errorf("%w: the directory has a journal", fs.ErrExist)
	}
	fresh, err := newManifest()
	if err != nil {
		return err
	}
	m := source.manifest
	m.Deployment, m.Restored, m.Backup = fresh.Deployment, true, false
	return c.copy(ctx, m)
}

// Restored reports whether the journal was made from a backup, and nobody has said since that the original is gone.
func (j *Journal) Restored() bool {
	j.manifestMu.Lock()
	defer j.manifestMu.Unlock()
	return j.manifest.Restored
}

// TakeOver says that the original of a restored journal is gone, so that this one may do what it did. When it returns nil that
// is on the disk.
func (j *Journal) TakeOver() error {
	if j.readOnly {
		return fmt.Errorf("take over: %w", ErrReadOnly)
	}
	if err := j.changeManifest(func(m *manifest) { m.Restored = false }); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	return nil
}
