package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"stockflow/journal/files"
	"stockflow/journal/sealed"
)

// sealedEntry is a sealed file as the manifest names it.
type sealedEntry struct {
	Number    uint64 `json:"number"`
	Tables    bool   `json:"tables,omitempty"`    // it has records of tables; else of logs
	Compacted bool   `json:"compacted,omitempty"` // no key is twice in it and the compacted files before it
}

const sealedPrefix = "sealed-"

func sealedName(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%012d", sealedPrefix, number))
}

// sealedNumber returns the number in the name of a sealed file.
func sealedNumber(name string) (uint64, bool) {
	digits, is := strings.CutPrefix(name, sealedPrefix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, is && err == nil && len(digits) >= 12
}

// sealedDir opens, writes and removes sealed files of a directory. Its methods may be called at once.
type sealedDir struct {
	fsys  files.FS
	dir   string
	id    [16]byte // of the journal
	lock  bool     // the files are another process's: it is shown that they are read
	cache *sealed.Cache

	mu sync.Mutex // guards the counts of its files and sets
}

// indexMemory is how many bytes the lists of blocks of all sealed files may take.
const indexMemory = 8 << 20

// sealedFile is an open file. It is closed when the last set that has it is released.
type sealedFile struct {
	sealedEntry
	name    string
	reader  *sealed.Reader // nil: the file can't be read, err says why
	err     error
	sets    int
	dropped bool // no manifest names it: it is removed when it is closed
}

// open opens a file. One that is damaged does not keep the journal from being opened: whoever reads what it could have is told.
func (d *sealedDir) open(e sealedEntry) *sealedFile {
	f := &sealedFile{sealedEntry: e, name: sealedName(d.dir, e.Number)}
	f.reader, f.err = d.openReader(f.name)
	return f
}

func (d *sealedDir) openReader(name string) (*sealed.Reader, error) {
	f, err := d.fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open sealed file: %w", err)
	}
	if d.lock {
		if err := f.Lock(files.Shared); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	r, err := sealed.Open(f, d.cache)
	if err != nil {
		return nil, damageOf(err)
	}
	if r.Meta().Journal != d.id {
		return nil, errors.Join(&DamageError{File: name, What: "it is of another journal"}, r.Close())
	}
	return r, nil
}

// damageOf makes damage of a sealed file damage of the journal.
func damageOf(err error) error {
	var d *sealed.DamageError
	if errors.As(err, &d) {
		return &DamageError{File: d.File, What: fmt.Sprintf("byte %d: %s", d.Position, d.What)}
	}
	return err
}

// write makes a sealed file of what fill adds. When it returns, the file and its name are on the disk, and nothing refers
// to it. It returns nil if fill adds nothing. After an error there is no file.
func (d *sealedDir) write(e sealedEntry, fill func(*sealed.Writer) error) (*sealedFile, error) {
	name := sealedName(d.dir, e.Number)
	empty, err := d.writeFile(name, e.Number, fill)
	if err == nil && !empty {
		err = d.fsys.SyncDir(d.dir)
	}
	if err == nil && !empty {
		f := d.open(e)
		if f.err == nil {
			return f, nil
		}
		err = f.err
	}
	_ = d.fsys.Remove(name) // else the next start does it
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return nil, nil
}

func (d *sealedDir) writeFile(name string, number uint64, fill func(*sealed.Writer) error) (empty bool, err error) {
	f, err := d.fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return false, err
	}
	w := sealed.NewWriter(f, sealed.Meta{Journal: d.id, Number: number})
	if err = fill(w); err == nil {
		err = w.Finish()
	}
	if err == nil {
		err = f.Sync()
	}
	return w.Empty(), errors.Join(err, f.Close())
}

// discard closes and removes a file that no set has.
func (d *sealedDir) discard(f *sealedFile) {
	if f == nil {
		return
	}
	if f.reader != nil {
		_ = f.reader.Close()
	}
	_ = d.fsys.Remove(f.name) // else the next start does it
}

// drop says which files are no longer among those that a manifest names. They are removed once nobody reads them.
func (d *sealedDir) drop(before, now []*sealedFile) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range before {
		f.dropped = !slices.Contains(now, f)
	}
}

// sealedSet is the archive: sealed files in an order in which the offsets of each partition rise from file to file.
type sealedSet struct {
	dir   *sealedDir
	files []*sealedFile
	refs  int
}

// set makes a set of files, with one reference.
func (d *sealedDir) set(all []*sealedFile) *sealedSet {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range all {
		f.sets++
	}
	return &sealedSet{dir: d, files: all, refs: 1}
}

func (s *sealedSet) retain() {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	s.refs++
}

func (s *sealedSet) release() {
	s.dir.mu.Lock()
	var unused []*sealedFile
	if s.refs--; s.refs == 0 {
		for _, f := range s.files {
			if f.sets--; f.sets == 0 {
				unused = append(unused, f)
			}
		}
	}
	s.dir.mu.Unlock()
	for _, f := range unused {
		if f.dropped {
			s.dir.discard(f)
		} else if f.reader != nil {
			_ = f.reader.Close()
		}
	}
}

// size returns how many files there are, and their bytes.
func (s *sealedSet) size() (count int, bytes int64) {
	for _, f := range s.files {
		if f.reader != nil {
			bytes += f.reader.Size()
		}
	}
	return len(s.files), bytes
}

// of reports whether the file may have records of a partition.
func (f *sealedFile) of(p *Partition) bool { return f.Tables == (p.topic.Kind == Table) }

// read returns the first record of a partition at an offset or after it and those that follow, as far as they are at hand
// and before another offset, and where to go on.
func (s *sealedSet) read(p *Partition, from, before int64) (records []Record, next int64, err error) {
	f, err := s.find(p, from)
	if err != nil {
		return nil, from, err
	}
	if f == nil {
		return nil, before, p.mayLack(from, before, s)
	}
	rs, err := f.reader.Read(p.number, from)
	if err != nil {
		return nil, from, damageOf(err)
	}
	for _, r := range rs {
		if r.Offset >= before {
			return records, before, nil
		}
		if err := p.mayLack(from, r.Offset, f.name); err != nil {
			return nil, from, err
		}
		record, err := unsealRecord(r)
		if err != nil {
			return nil, from, &DamageError{File: f.name, What: fmt.Sprintf("offset %d of %s can't be read", r.Offset, p)}
		}
		records, from = append(records, record), r.Offset+1
	}
	return records, from, nil
}

// mayLack returns an error if a partition can't be without the records from one offset to before another: those of logs
// are kept.
func (p *Partition) mayLack(from, before int64, where any) error {
	if from >= before || p.topic.Kind == Table {
		return nil
	}
	return &DamageError{File: fmt.Sprint(where), What: fmt.Sprintf("offsets %d to %d of %s are missing", from, before-1, p)}
}

// String names the directory.
func (s *sealedSet) String() string { return s.dir.dir }

// find returns the file that has the first record of a partition at an offset or after it, nil if there is none.
func (s *sealedSet) find(p *Partition, offset int64) (found *sealedFile, err error) {
	for _, f := range slices.Backward(s.files) {
		if !f.of(p) {
			continue
		}
		if f.reader == nil {
			return nil, f.err // it may be in there
		}
		e, ok := f.reader.Extent(p.number)
		if !ok {
			continue
		}
		if e.Last < offset {
			break
		}
		if found = f; e.First <= offset {
			break
		}
	}
	return found, nil
}

// findTime returns the offset and time of the first record at or after a time in ms, false if there is none.
func (s *sealedSet) findTime(p *Partition, ms int64) (offset, at int64, found bool, err error) {
	for _, f := range s.files {
		if !f.of(p) {
			continue
		}
		if f.reader == nil {
			return 0, 0, false, f.err
		}
		if e, ok := f.reader.Extent(p.number); ok && e.Until >= ms {
			r, found, err := f.reader.FindTime(p.number, ms)
			return r.Offset, r.Time, found, damageOf(err)
		}
	}
	return 0, 0, false, nil
}

// sealRecord makes a record one of a sealed file: flags, key, headers, value. It uses the memory of buf.
func sealRecord(r *Record, buf []byte) sealed.Record {
	data := r.appendPayload(append(buf[:0], flagsOf(r, nil)))
	return sealed.Record{Offset: r.Offset, Time: r.Time, Data: data}
}

// unsealRecord is its counterpart. The record shares the memory of the sealed one.
func unsealRecord(s sealed.Record) (Record, error) {
	r := Record{Offset: s.Offset, Time: s.Time}
	d := decoder{b: s.Data}
	r.readPayload(&d, d.byte())
	return r, d.err()
}
