package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// lock is the right to write in a data directory. The kernel gives it to one open file at a time and takes it back
// when the process ends. The file stays: to remove it would let two processes each lock a file of that name.
type lock struct {
	dir  string
	file *os.File
}

// holder is what stands in the lock's file: who has it.
type holder struct {
	PID int `json:"pid"`
}

// held are the locks of this process. One that nobody refers to any more would be closed by the garbage collector,
// and so be free while its broker still writes.
var held sync.Map

func lockPath(dir string) string { return filepath.Join(dir, "LOCK") }

func takeLock(dir string) (*lock, error) {
	f, err := os.OpenFile(lockPath(dir), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	l := &lock{dir, f}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(l.refused(err), f.Close())
	}
	if err := l.write(holder{PID: os.Getpid()}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	held.Store(l, nil)
	return l, nil
}

// Hold takes the data directory dir, which is created if there is none, until
// release is called or the process ends. The error names dir and who has it.
func Hold(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	l, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	return l.release, nil
}

// Leaving reports whether the process that has the data directory dir is ending, as after a kill: the system frees its memory
// first, and its files and ports after that.
func Leaving(dir string) bool {
	f, err := os.Open(lockPath(dir))
	if err != nil {
		return false
	}
	h, err := readHolder(f)
	return errors.Join(err, f.Close()) == nil && isEnding(h.PID)
}

// refused says who has the lock. The file may be empty for a moment, when its holder has only just taken it.
func (l *lock) refused(err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock the data directory %s: %w", l.dir, err)
	}
	if h, err := readHolder(l.file); err == nil {
		return fmt.Errorf("the data directory %s is in use by process %d: stop it first, or name another directory", l.dir, h.PID)
	}
	return fmt.Errorf("the data directory %s is in use by another process: stop it first, or name another directory", l.dir)
}

func (l *lock) write(h holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", l.file.Name(), err)
	}
	if _, err := l.file.WriteAt(append(text, '\n'), 0); err != nil {
		return fmt.Errorf("write %s: %w", l.file.Name(), err)
	}
	return nil
}

func (l *lock) release() error {
	held.Delete(l)
	return unlock(l.file)
}

// unlock gives a lock back at once: closing the file alone leaves it to a child that this process is just starting, which has
// the file too until it is the program that it is to be.
func unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

func readHolder(f io.Reader) (holder, error) {
	var h holder
	err := json.NewDecoder(f).Decode(&h)
	return h, err
}

// Running reports whether a process has the data directory dir.
func Running(dir string) (bool, error) {
	f, err := os.Open(lockPath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a process on the data directory: %w", err)
	}
	defer unlock(f) //nolint:errcheck // nothing was written
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil, nil
}
