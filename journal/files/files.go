// Package files is the layer through which every file of the data directory goes. The layer can be exchanged, so that tests
// can cut the power at any operation, fill the disk or let a sync fail: see package powercut.
//
// Nothing is on the disk until it was synced: what was written to a file, by [File.Sync] or because it was opened with [DSync];
// a name that was created, renamed or removed, by [FS.SyncDir] of its directory.
package files

import (
	"errors"
	"io"
	"io/fs"
)

// DSync is a flag for OpenFile: each WriteAt returns when its bytes are on the disk, and the size of the file if they
// changed it. An error of WriteAt is then an error of a sync too: nothing may be concluded from trying again.
const DSync = 1 << 30

// ErrLocked says that another open file has a lock that excludes the one asked for.
var ErrLocked = errors.New("locked by another process")

// FS is a file system. Its methods may be called at once. Errors that a name doesn't exist, or does already, are told by
// errors.Is with fs.ErrNotExist and fs.ErrExist.
type FS interface {
	// OpenFile opens a file with the flags of package os, but for O_APPEND, and [DSync].
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// MkdirAll makes a directory and those above it that are missing. They are not synced: see [MakeDir].
	MkdirAll(dir string, perm fs.FileMode) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// RemoveAll removes a file or a directory and all in it, and is fine with a name that doesn't exist.
	RemoveAll(name string) error
	// Rename gives a file another name in one step, and takes the place of a file that had it.
	Rename(from, to string) error
	// ReadDir returns what is in a directory, by name.
	ReadDir(dir string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir returns when the names in a directory are on the disk as they are.
	SyncDir(dir string) error
	// Free returns how many bytes may still be written to the disk that dir is on.
	Free(dir string) (int64, error)
}

// File is an open file. ReadAt, WriteAt, Sync and Size may be called at once.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Truncate sets the size. Bytes beyond the old one are zero.
	Truncate(size int64) error
	// Sync returns when all that was written before is on the disk, past the caches of the disk too. After an error nothing
	// is known of those bytes, and a later Sync that returns nil says nothing about them.
	Sync() error
	Size() (int64, error)
	// Name is the name that the file was opened by.
	Name() string
	// Lock takes a lock on the file for this File, or exchanges the one it has. It doesn't wait: it returns [ErrLocked] if
	// another File, of this process or another, has a lock that excludes it. The lock ends with Unlock, Close or the process.
	Lock(kind LockKind) error
	Unlock() error
	Close() error
}

// LockKind says who else may have a lock.
type LockKind uint8

// The kinds of locks: many files may have a Shared one at once, only one an Exclusive one.
const (
	Shared LockKind = iota
	Exclusive
)
