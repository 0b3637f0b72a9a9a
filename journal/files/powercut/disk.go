// Package powercut is a file system in memory whose power can be cut at any operation, for tests. It keeps what a program
// sees apart from what is on the disk, and promises of the latter only what package files does:
//
//   - Of a file, what was synced is there. Of what was written since, any sectors of 512 bytes are, each as it was at any time
//     since; a write is so torn at any of them. The size is any that the file has had since.
//   - Of the names in a directory that was not synced since, each that was made, renamed or removed is so or not, whatever became
//     of those before and after. A file that is renamed has one of the two names.
//   - The operation at which the power goes is done in part, in the same way.
//
// So a program that forgets a sync is caught by some of the disks that [Disk.Cut] returns. [Disk.Crash] ends the program and leaves
// the power on: what it has written is then seen by the next, and still not on the disk. [Disk.Inject] lets single operations fail.
package powercut

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"stockflow/journal/files"
)

// ErrOff is what every operation returns once the power is cut or the program has crashed.
var ErrOff = errors.New("the power is off")

// Disk is a files.FS. All of its methods may be called at once.
type Disk struct {
	gone chan struct{} // closed when the power goes, or the program

	mu       sync.Mutex // guards what follows and all nodes
	root     *node
	pending  []rename // what was done to names, in order, and is not on the disk
	free     int64
	changes  int // operations that change something, so far
	reads    int // all others
	cutAt    int // the change at which the power goes, -1 for none
	off      bool
	fault    func(Operation) Fault
	observer func(Operation)
}

var _ files.FS = (*Disk)(nil)

// New returns an empty disk with room for a terabyte.
func New() *Disk { return disk(newDir(0o755)) }

func disk(root *node) *Disk {
	return &Disk{root: root, gone: make(chan struct{}), free: 1 << 40, cutAt: -1}
}

// CutAt lets the power go at the change with number n, counted from 0: see [Operation].
func (d *Disk) CutAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = n
}

// Changes returns how many operations have changed something.
func (d *Disk) Changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// Off is closed when the power goes or the program crashes.
func (d *Disk) Off() <-chan struct{} { return d.gone }

// SetFree says how many bytes files may still grow by. Then they get ENOSPC.
func (d *Disk) SetFree(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = n
}

// Cut cuts the power, unless it is off already, and returns what is found when it is back: one of the disks that may
// be, chosen by rng. All of it is then on the disk. It may be called again for another one.
func (d *Disk) Cut(rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.switchOff()
	found := disk(d.survivors(rng))
	found.free = d.free
	return found
}

// Crash ends the program and returns what the next one finds: everything as it was written, with as much of it on the
// disk as before. No file is open or locked on it.
func (d *Disk) Crash() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.switchOff()
	found := disk(d.root)
	found.pending, found.free = d.pending, d.free
	d.root.each(func(n *node) { n.locks = nil })
	return found
}

// switchOff is called under d.mu.
func (d *Disk) switchOff() {
	if !d.off {
		d.off = true
		close(d.gone)
	}
}

// Free implements files.FS.
func (d *Disk) Free(dir string) (int64, error) {
	fault, done, err := d.begin(Operation{Kind: Look, Name: dir})
	if err != nil {
		return 0, err
	}
	defer done()
	return d.free, fault.Err
}

// SyncDir implements files.FS.
func (d *Disk) SyncDir(dir string) error {
	fault, done, err := d.begin(Operation{Kind: SyncDir, Name: dir})
	if err != nil {
		return err
	}
	defer done()
	n, err := d.find(dir)
	if err != nil {
		return &fs.PathError{Op: "sync", Path: dir, Err: err}
	}
	if fault.Err != nil {
		return &fs.PathError{Op: "sync", Path: dir, Err: fault.Err}
	}
	if !fault.Unsynced {
		d.settle(n)
	}
	return nil
}

// find returns the node of a name.
func (d *Disk) find(name string) (*node, error) {
	n := d.root
	for _, part := range parts(name) {
		if n.names == nil {
			return nil, syscall.ENOTDIR
		}
		next, ok := n.names[part]
		if !ok {
			return nil, fs.ErrNotExist
		}
		n = next
	}
	return n, nil
}

// above returns the directory that a name is in, and how it is called there.
func (d *Disk) above(name string) (dir *node, last string, err error) {
	all := parts(name)
	if len(all) == 0 {
		return nil, "", fs.ErrInvalid
	}
	last = all[len(all)-1]
	dir, err = d.find(path.Join(all[:len(all)-1]...))
	if err == nil && dir.names == nil {
		err = syscall.ENOTDIR
	}
	return dir, last, err
}

// parts takes a name apart. All names are seen from the root.
func parts(name string) []string {
	clean := strings.Trim(path.Clean("/"+filepath.ToSlash(name)), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}
