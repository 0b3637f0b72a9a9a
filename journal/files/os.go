package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// OS returns the file system of the operating system.
func OS() FS { return machine{} }

type machine struct{}

func (machine) MkdirAll(dir string, perm fs.FileMode) error { return os.MkdirAll(dir, perm) }
func (machine) Remove(name string) error                    { return os.Remove(name) }
func (machine) RemoveAll(name string) error                 { return os.RemoveAll(name) }
func (machine) Rename(from, to string) error                { return os.Rename(from, to) }
func (machine) ReadDir(dir string) ([]fs.DirEntry, error)   { return os.ReadDir(dir) }
func (machine) Stat(name string) (fs.FileInfo, error)       { return os.Stat(name) }
func (machine) SyncDir(dir string) error                    { return syncDir(dir) }

func (machine) Free(dir string) (int64, error) {
	n, err := freeBytes(dir)
	if err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return n, nil
}

func (machine) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if flag&os.O_APPEND != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
	}
	synced := flag&DSync != 0
	flag &^= DSync
	if synced {
		flag |= nativeDSync
	}
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f, syncWrites: synced && nativeDSync == 0}, nil
}

// osFile is a file of the operating system. Its Sync is the one that goes past the caches of the disk: package os uses
// F_FULLFSYNC on macOS and FlushFileBuffers on Windows.
type osFile struct {
	*os.File
	syncWrites bool // DSync was asked for, and the operating system has no such thing
}

func (f *osFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	if err != nil || !f.syncWrites {
		return n, err
	}
	return n, f.Sync()
}

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Lock(kind LockKind) error {
	if err := lock(f.File, kind); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

func (f *osFile) Unlock() error {
	if err := unlock(f.File); err != nil {
		return fmt.Errorf("unlock %s: %w", f.Name(), err)
	}
	return nil
}
