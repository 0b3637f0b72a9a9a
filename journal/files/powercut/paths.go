package powercut

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"stockflow/journal/files"
)

// OpenFile implements files.FS.
func (d *Disk) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	fault, done, err := d.begin(Operation{Kind: d.opening(name, flag), Name: name})
	if err != nil {
		return nil, err
	}
	defer done()
	err = fault.refusal()
	if err == nil {
		var n *node
		if n, err = d.open(name, flag, perm); err == nil && fault.Err == nil {
			return &file{disk: d, node: n, name: name, flag: flag}, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: cmp.Or(err, fault.Err)}
}

// opening says what it will be to open a file.
func (d *Disk) opening(name string, flag int) Kind {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return Open
	}
	switch _, err := d.find(name); {
	case err == nil && flag&os.O_TRUNC != 0:
		return Truncate
	case err != nil && flag&os.O_CREATE != 0:
		return Create
	}
	return Open
}

func (d *Disk) open(name string, flag int, perm fs.FileMode) (*node, error) {
	dir, last, err := d.above(name)
	if err != nil {
		return nil, err
	}
	n := dir.names[last]
	switch {
	case flag&os.O_APPEND != 0:
		return nil, errors.ErrUnsupported
	case n == nil && flag&os.O_CREATE == 0:
		return nil, fs.ErrNotExist
	case n == nil:
		n = newFile(perm)
		d.do(rename{node: n, to: place{dir, last}})
	case n.names != nil:
		return nil, syscall.EISDIR
	case flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, fs.ErrExist
	case flag&os.O_TRUNC != 0:
		d.free += int64(len(n.cache))
		n.truncate(0)
	}
	return n, nil
}

// MkdirAll implements files.FS.
func (d *Disk) MkdirAll(dir string, perm fs.FileMode) error {
	fault, done, err := d.begin(Operation{Kind: Mkdir, Name: dir})
	if err != nil {
		return err
	}
	defer done()
	err = fault.refusal()
	if err == nil {
		err = d.mkdirs(parts(dir), perm)
	}
	if err = cmp.Or(err, fault.Err); err != nil {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}

func (d *Disk) mkdirs(path []string, perm fs.FileMode) error {
	n := d.root
	for _, name := range path {
		if n.names[name] == nil {
			d.do(rename{node: newDir(perm), to: place{n, name}})
		}
		if n = n.names[name]; n.names == nil {
			return syscall.ENOTDIR
		}
	}
	return nil
}

// Remove implements files.FS.
func (d *Disk) Remove(name string) error {
	return d.remove(name, func(at place, n *node) error {
		if len(n.names) > 0 {
			return syscall.ENOTEMPTY
		}
		d.unlink(at, n)
		return nil
	})
}

// RemoveAll implements files.FS. It is one operation, and as many that become of it what they may when the power goes.
func (d *Disk) RemoveAll(name string) error {
	err := d.remove(name, func(at place, n *node) error {
		d.unlink(at, n)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *Disk) remove(name string, unlink func(place, *node) error) error {
	fault, done, err := d.begin(Operation{Kind: Remove, Name: name})
	if err != nil {
		return err
	}
	defer done()
	dir, last, err := d.above(name)
	if err == nil && dir.names[last] == nil {
		err = fs.ErrNotExist
	}
	if err == nil {
		err = fault.refusal()
	}
	if err == nil {
		err = unlink(place{dir, last}, dir.names[last])
	}
	if err = cmp.Or(err, fault.Err); err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

// unlink removes a name, and before it those below it.
func (d *Disk) unlink(at place, n *node) {
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		d.unlink(place{n, name}, n.names[name])
	}
	d.free += int64(len(n.cache))
	d.do(rename{node: n, from: at})
}

// Rename implements files.FS.
func (d *Disk) Rename(from, to string) error {
	fault, done, err := d.begin(Operation{Kind: Rename, Name: from})
	if err != nil {
		return err
	}
	defer done()
	err = fault.refusal()
	if err == nil {
		err = d.rename(from, to)
	}
	if err = cmp.Or(err, fault.Err); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func (d *Disk) rename(from, to string) error {
	dir, last, err := d.above(from)
	if err != nil {
		return err
	}
	target, name, err := d.above(to)
	if err != nil {
		return err
	}
	n, old := dir.names[last], target.names[name]
	switch {
	case n == nil:
		return fs.ErrNotExist
	case n == old:
		return nil
	case old != nil && (old.names != nil || n.names != nil):
		return fs.ErrExist
	case old != nil:
		d.free += int64(len(old.cache))
	}
	d.do(rename{node: n, from: place{dir, last}, to: place{target, name}})
	return nil
}

// ReadDir implements files.FS.
func (d *Disk) ReadDir(dir string) (found []fs.DirEntry, err error) {
	n, done, err := d.look(dir)
	if err == nil {
		defer done()
		if n.names == nil {
			err = syscall.ENOTDIR
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: err}
	}
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		found = append(found, fs.FileInfoToDirEntry(n.names[name].info(name)))
	}
	return found, nil
}

// Stat implements files.FS.
func (d *Disk) Stat(name string) (fs.FileInfo, error) {
	n, done, err := d.look(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	defer done()
	return n.info(path.Base("/" + strings.Join(parts(name), "/"))), nil
}

func (d *Disk) look(name string) (n *node, done func(), err error) {
	fault, done, err := d.begin(Operation{Kind: Look, Name: name})
	if err != nil {
		return nil, nil, err
	}
	n, err = d.find(name)
	if err = cmp.Or(fault.Err, err); err != nil {
		done()
		return nil, nil, err
	}
	return n, done, nil
}

// info is a fs.FileInfo. There is no time on this disk.
type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (n *node) info(name string) info { return info{name, int64(len(n.cache)), n.perm} }
func (i info) Name() string           { return i.name }
func (i info) Size() int64            { return i.size }
func (i info) Mode() fs.FileMode      { return i.mode }
func (i info) ModTime() time.Time     { return time.Time{} }
func (i info) IsDir() bool            { return i.mode.IsDir() }
func (i info) Sys() any               { return nil }
