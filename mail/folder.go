package mail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Folder is an outlet that keeps e-mails as files of a directory, one each, as mail programs read them.
type Folder struct{ dir string }

// NewFolder returns an outlet to a directory, which is made if it isn't there.
func NewFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &Folder{dir}, nil
}

// Send writes a file, whole or not at all: if the process dies before the rename, a file stays whose name begins with
// a dot, and the next attempt writes over it.
func (f *Folder) Send(_ context.Context, l Letter) error {
	unfinished := filepath.Join(f.dir, "."+l.File)
	if err := write(unfinished, l); err != nil {
		return fmt.Errorf("writing an e-mail: %w", err)
	}
	return os.Rename(unfinished, filepath.Join(f.dir, l.File))
}

func write(name string, l Letter) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = l.compose().WriteTo(file)
	return errors.Join(err, file.Sync(), file.Close())
}
