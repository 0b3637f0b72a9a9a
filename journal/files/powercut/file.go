package powercut

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"

	"stockflow/journal/files"
)

// file is an open one.
type file struct {
	disk   *Disk
	node   *node
	name   string
	flag   int
	closed bool // guarded by disk.mu
}

func (f *file) Name() string { return f.name }

// begin is Disk.begin for an operation on the file. An error is one of package fs.
func (f *file) begin(op Operation) (Fault, func(), error) {
	op.Name, op.DSync = f.name, op.Kind == Write && f.flag&files.DSync != 0
	fault, done, err := f.disk.begin(op)
	if err == nil && f.closed {
		done()
		err = fs.ErrClosed
	}
	return fault, done, f.failed(op.Kind, err)
}

func (f *file) failed(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: string(k), Path: f.name, Err: err}
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	fault, done, err := f.begin(Operation{Kind: Read, Offset: off, Length: len(b)})
	if err != nil {
		return 0, err
	}
	defer done()
	if fault.Err != nil {
		return 0, f.failed(Read, fault.Err)
	}
	if off < 0 || f.flag&os.O_WRONLY != 0 {
		return 0, f.failed(Read, syscall.EINVAL)
	}
	n := 0
	if off < int64(len(f.node.cache)) {
		n = copy(b, f.node.cache[off:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	fault, done, err := f.begin(Operation{Kind: Write, Offset: off, Length: len(b)})
	if err != nil {
		return 0, err
	}
	defer done()
	if off < 0 || !f.writable() {
		return 0, f.failed(Write, syscall.EINVAL)
	}
	err = fault.Err
	if fault.refusal() != nil {
		b = b[:min(fault.Bytes, len(b))]
	}
	if room := f.room(off); int64(len(b)) > room {
		b, err = b[:room], syscall.ENOSPC
	}
	f.grow(off + int64(len(b)))
	f.node.write(b, off)
	first, last := int(off/sectorSize), int((off+int64(len(b))-1)/sectorSize)
	if f.flag&files.DSync != 0 && err == nil && !fault.Unsynced {
		f.node.sync(first, last)
	}
	if fault.Forget {
		f.node.forget(first, last)
	}
	return len(b), f.failed(Write, err)
}

// writable says whether the file was opened to be written.
func (f *file) writable() bool { return f.flag&(os.O_WRONLY|os.O_RDWR) != 0 }

// room returns how many bytes may be written at off.
func (f *file) room(off int64) int64 {
	return max(0, int64(len(f.node.cache))+f.disk.free-off)
}

// grow takes the space that a file of this size needs more than it has.
func (f *file) grow(size int64) {
	f.disk.free -= max(0, size-int64(len(f.node.cache)))
}

func (f *file) Truncate(size int64) error {
	fault, done, err := f.begin(Operation{Kind: Truncate, Offset: size})
	if err != nil {
		return err
	}
	defer done()
	if err := fault.refusal(); err != nil {
		return f.failed(Truncate, err)
	}
	if size < 0 || !f.writable() {
		return f.failed(Truncate, syscall.EINVAL)
	}
	f.disk.free += int64(len(f.node.cache)) - size
	f.node.truncate(size)
	return f.failed(Truncate, fault.Err)
}

func (f *file) Sync() error {
	fault, done, err := f.begin(Operation{Kind: Sync})
	if err != nil {
		return err
	}
	defer done()
	if fault.Err == nil && !fault.Unsynced {
		f.node.sync(0, math.MaxInt)
	}
	if fault.Forget {
		f.node.forget(0, math.MaxInt)
	}
	return f.failed(Sync, fault.Err)
}

func (f *file) Size() (int64, error) {
	fault, done, err := f.begin(Operation{Kind: Look})
	if err != nil {
		return 0, err
	}
	defer done()
	return int64(len(f.node.cache)), f.failed(Look, fault.Err)
}

func (f *file) Lock(kind files.LockKind) error {
	_, done, err := f.begin(Operation{Kind: Look})
	if err != nil {
		return err
	}
	defer done()
	for other, has := range f.node.locks {
		if other != f && (kind == files.Exclusive || has == files.Exclusive) {
			return fmt.Errorf("lock %s: %w", f.name, files.ErrLocked)
		}
	}
	if f.node.locks == nil {
		f.node.locks = make(map[*file]files.LockKind)
	}
	f.node.locks[f] = kind
	return nil
}

func (f *file) Unlock() error {
	_, done, err := f.begin(Operation{Kind: Look})
	if err != nil {
		return err
	}
	defer done()
	delete(f.node.locks, f)
	return nil
}

// Close works when the power is off too: a program that ends closes its files.
func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return f.failed("close", fs.ErrClosed)
	}
	f.closed = true
	if !f.disk.off {
		delete(f.node.locks, f)
	}
	return nil
}
