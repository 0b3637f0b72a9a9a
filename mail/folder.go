package mail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Folder is an outlet that keeps e-mails as files of a directory, one each, as mail programs read them.
type Folder struct {
	dir     string
	syncDir func(dir string) error // syncDir, but for tests
}

// NewFolder returns an outlet to a directory, which is made if it isn't there.
func NewFolder(dir string) (*Folder, error) {
	f := &Folder{filepath.Clean(dir), syncDir}
	return f, f.make()
}

// make makes the directory and those above it, and puts the names of the new ones on the disk.
func (f *Folder) make() error {
	var missing []string
	for dir := f.dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			break
		}
		missing = append(missing, dir)
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := f.syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// Send writes a file, whole or not at all: if the process dies before the rename, a file stays whose name begins with
// a dot, and the next attempt writes over it. When it returns nil the file and its name are on the disk: the log is
// told then that the e-mail was sent, and would still say so after a power failure that took the name away.
func (f *Folder) Send(_ context.Context, l Letter) error {
	unfinished := filepath.Join(f.dir, "."+l.File)
	if err := write(unfinished, l); err != nil {
		return fmt.Errorf("writing an e-mail: %w", err)
	}
	if err := os.Rename(unfinished, filepath.Join(f.dir, l.File)); err != nil {
		return err
	}
	return f.syncDir(f.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func write(name string, l Letter) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = l.compose().WriteTo(file)
	return errors.Join(err, file.Sync(), file.Close())
}
