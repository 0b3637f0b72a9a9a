package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Permissions of what is in the data directory: it is nobody else's.
const (
	filePerm fs.FileMode = 0o600
	dirPerm  fs.FileMode = 0o700
)

// temporary is added to the name of a file that is to take the place of another.
const temporary = ".new"

// Replace makes data the content of the file name. When it returns nil that is on the disk. Whatever happens before, the
// file is as it was or has the new content, whole; name + ".new" may be left, and the next Replace writes over it. One
// caller at a time for each name.
func Replace(fsys FS, name string, data []byte) error {
	err := writeSynced(fsys, name+temporary, data)
	if err == nil {
		err = fsys.Rename(name+temporary, name)
	}
	if err == nil {
		err = fsys.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

// writeSynced makes a file with data in it, or one that is there to have it. Its name is not synced.
func writeSynced(fsys FS, name string, data []byte) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// ReadFile returns what is in a file.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	return b, errors.Join(err, f.Close())
}

// MakeDir makes a directory for this user alone, and those above it that are missing. When it returns nil they are on the
// disk. They are made and synced one after the other, so that of a directory that is there at most its own name can be lost: that
// is why the name of one that was there is synced too.
func MakeDir(fsys FS, dir string) error {
	dir = filepath.Clean(dir)
	above := filepath.Dir(dir)
	if above == dir {
		return nil // the root
	}
	_, err := fsys.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := MakeDir(fsys, above); err != nil {
			return err
		}
		err = fsys.MkdirAll(dir, dirPerm)
	}
	if err == nil {
		err = fsys.SyncDir(above)
	}
	if err != nil {
		return fmt.Errorf("make the directory %s: %w", dir, err)
	}
	return nil
}
