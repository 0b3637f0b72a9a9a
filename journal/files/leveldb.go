package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// LevelDB returns the files of a LevelDB in dir, which is made if there is none. They are those of goleveldb's own storage, so
// either opens what the other has written. The directory is locked until Close, which whoever called LevelDB calls after
// the database was closed; [ErrLocked] says that it is open elsewhere.
//
// It is stricter than goleveldb's own about what is on the disk: the first Sync of a file makes its name durable too. So a write
// that was synced is never in a journal that nobody finds, and a manifest never names a table that is gone.
func LevelDB(fsys FS, dir string) (storage.Storage, error) {
	if err := MakeDir(fsys, dir); err != nil {
		return nil, err
	}
	lock, err := fsys.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	if err := lock.Lock(Exclusive); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	l := &levelDB{fs: fsys, dir: dir, lock: lock}
	err = l.removeUnfinished()
	if err == nil {
		err = l.cutTorn()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return l, nil
}

type levelDB struct {
	fs   FS
	dir  string
	lock File // open and locked until Close

	mu     sync.Mutex // guards what follows
	closed bool
	taken  bool // a database is open on these files
}

const currentName = "CURRENT"

// removeUnfinished removes what is left of a database that was being made when the process died: manifests, and nothing that
// says which one counts. LevelDB would take that for damage. Nothing was in it yet; where there are journals or tables too, there
// was, and it is damage.
func (l *levelDB) removeUnfinished() error {
	if _, err := l.fs.Stat(filepath.Join(l.dir, currentName)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found, err := l.List(storage.TypeAll)
	if err != nil || slices.ContainsFunc(found, func(fd storage.FileDesc) bool { return fd.Type != storage.TypeManifest }) {
		return err
	}
	for _, fd := range found {
		if err := l.fs.Remove(filepath.Join(l.dir, fileName(fd))); err != nil {
			return err
		}
	}
	return nil
}

// Lock implements storage.Storage: it keeps a second database of this process away.
func (l *levelDB) Lock() (storage.Locker, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, storage.ErrClosed
	}
	if l.taken {
		return nil, storage.ErrLocked
	}
	l.taken = true
	return &taking{of: l}, nil
}

// taking is the lock of one database.
type taking struct {
	of   *levelDB
	once sync.Once
}

// Unlock may be called again, and then does nothing.
func (t *taking) Unlock() {
	t.once.Do(func() {
		t.of.mu.Lock()
		defer t.of.mu.Unlock()
		t.of.taken = false
	})
}

// Log drops what LevelDB tells of its work: errors come back from its calls.
func (l *levelDB) Log(string) {}

// SetMeta says durably which manifest counts. LevelDB has synced the manifest before, and so its name.
func (l *levelDB) SetMeta(fd storage.FileDesc) error {
	name, err := l.path(fd)
	if err != nil {
		return err
	}
	return Replace(l.fs, filepath.Join(l.dir, currentName), []byte(filepath.Base(name)+"\n"))
}

// GetMeta returns the manifest that counts. The "CURRENT.n" that goleveldb's own storage leaves when the process dies just
// before it renames the file is not looked at: until then the manifest before counted, and is there.
func (l *levelDB) GetMeta() (storage.FileDesc, error) {
	if err := l.open(); err != nil {
		return storage.FileDesc{}, err
	}
	text, err := ReadFile(l.fs, filepath.Join(l.dir, currentName))
	if err != nil {
		return storage.FileDesc{}, plain(err)
	}
	name, whole := strings.CutSuffix(string(text), "\n")
	fd, ok := parseName(name)
	if !whole || !ok || fd.Type != storage.TypeManifest {
		return storage.FileDesc{}, &storage.ErrCorrupted{Err: fmt.Errorf("%s says %q, which is no manifest", filepath.Join(l.dir, currentName), text)}
	}
	if _, err := l.fs.Stat(filepath.Join(l.dir, name)); err != nil {
		return storage.FileDesc{}, plain(err)
	}
	return fd, nil
}

// plain returns os.ErrNotExist itself for an error that is one, as LevelDB doesn't unwrap.
func plain(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fs.ErrNotExist
	}
	return err
}

func (l *levelDB) List(types storage.FileType) (found []storage.FileDesc, err error) {
	if err := l.open(); err != nil {
		return nil, err
	}
	entries, err := l.fs.ReadDir(l.dir)
	for _, e := range entries {
		if fd, ok := parseName(e.Name()); ok && fd.Type&types != 0 {
			found = append(found, fd)
		}
	}
	return found, err
}

func (l *levelDB) Open(fd storage.FileDesc) (storage.Reader, error) {
	name, err := l.path(fd)
	if err != nil {
		return nil, err
	}
	f, err := l.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, plain(err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return levelReader{io.NewSectionReader(f, 0, size), f}, nil
}

// levelReader reads a file that has the size it had when it was opened: LevelDB writes no file that it reads.
type levelReader struct {
	*io.SectionReader
	io.Closer
}

func (l *levelDB) Create(fd storage.FileDesc) (storage.Writer, error) {
	name, err := l.path(fd)
	if err != nil {
		return nil, err
	}
	f, err := l.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return nil, err
	}
	return &levelWriter{of: l, file: f}, nil
}

// levelWriter writes a file from its beginning to its end. It is for one goroutine, as those of package os are to LevelDB.
type levelWriter struct {
	of    *levelDB
	file  File
	end   int64
	named bool // the file's name is on the disk
}

func (w *levelWriter) Write(b []byte) (int, error) {
	n, err := w.file.WriteAt(b, w.end)
	w.end += int64(n)
	return n, err
}

func (w *levelWriter) Sync() error {
	if err := w.file.Sync(); err != nil || w.named {
		return err
	}
	if err := w.of.fs.SyncDir(w.of.dir); err != nil {
		return err
	}
	w.named = true
	return nil
}

func (w *levelWriter) Close() error { return w.file.Close() }

// Remove doesn't sync the directory, and says nothing of a file that the disk won't let go: one that comes back, or stays, is one
// that nothing refers to, and LevelDB removes it at the next start, or writes over it. A compaction that could neither write its table
// nor remove it would end the process with a nil pointer.
func (l *levelDB) Remove(fd storage.FileDesc) error {
	name, err := l.path(fd)
	if err != nil {
		return err
	}
	if err := l.fs.Remove(name); errors.Is(err, fs.ErrNotExist) {
		return plain(err)
	}
	return nil
}

func (l *levelDB) Rename(from, to storage.FileDesc) error {
	before, err := l.path(from)
	if err != nil {
		return err
	}
	after, err := l.path(to)
	if err != nil || from == to {
		return err
	}
	return l.fs.Rename(before, after)
}

// Close lets the directory go. It may be called again.
func (l *levelDB) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return l.lock.Close()
}

// open returns nil before Close.
func (l *levelDB) open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return storage.ErrClosed
	}
	return nil
}

// path returns where the file is, if it can be one.
func (l *levelDB) path(fd storage.FileDesc) (string, error) {
	if !storage.FileDescOk(fd) {
		return "", storage.ErrInvalidFile
	}
	return filepath.Join(l.dir, fileName(fd)), l.open()
}

const manifestPrefix = "MANIFEST-"

// endings of the names of files, by what they are.
var endings = map[storage.FileType]string{storage.TypeJournal: "log", storage.TypeTable: "ldb", storage.TypeTemp: "tmp"}

func fileName(fd storage.FileDesc) string {
	if fd.Type == storage.TypeManifest {
		return fmt.Sprintf("%s%06d", manifestPrefix, fd.Num)
	}
	return fmt.Sprintf("%06d.%s", fd.Num, endings[fd.Type])
}

// parseName is the opposite of fileName; ok says whether the file is one of LevelDB's.
func parseName(name string) (fd storage.FileDesc, ok bool) {
	if number, is := strings.CutPrefix(name, manifestPrefix); is {
		n, err := strconv.ParseUint(number, 10, 63)
		return storage.FileDesc{Type: storage.TypeManifest, Num: int64(n)}, err == nil
	}
	number, ending, _ := strings.Cut(name, ".")
	n, err := strconv.ParseUint(number, 10, 63)
	for t, e := range endings {
		if e == ending && err == nil {
			return storage.FileDesc{Type: t, Num: int64(n)}, true
		}
	}
	return storage.FileDesc{}, false
}
