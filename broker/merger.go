package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A file is merged beside the old one and read again, and every record in it is compared with the old one's, before it
// takes the old one's place. Then, with the disk told to finish each step before the next:
//
//	the new index takes the old one's place   die here: it has too few entries for the old file, and checkIndex makes the old one again
//	the new file takes the old one's place    die here: they belong together; the snapshot has the old size, and is written anew
//	the snapshot is written, as after a crash
//
// The other way round the old index would have more entries than the new file has batches, which is proof of a loss. What was written beside and is in
// nobody's place yet has a name that the server removes when it starts.

const (
	mergeSuffix = ".tmp"
	// worthwhile is how many times fewer batches there have to be: a file is read and written once for that, and after it never again.
	worthwhile = 2
	// mergingPatience is how long a start may be held up by it; what is left then is merged at the next.
	mergingPatience = time.Minute
)

// merger merges the small batches of a log before the server opens it. It does one file at a time, which it has in memory three times.
type merger struct {
	off      bool
	patience time.Duration           // 0 is as long as it takes
	check    func(need uint64) error // whether there is room for so many bytes
	step     func()                  // called after each step, for tests that die there

	mu      sync.Mutex // guards what follows
	files   int
	before  int // batches
	after   int
	took    time.Duration
	later   int   // files that are left for the next start
	stopped error // nothing is merged any more at this one
}

// partition merges what is worthwhile in a partition whose files are whole and fit their indexes. That it can't is no error; an error is that
// a file and its index no longer fit.
func (m *merger) partition(dir string, p *partition) error {
	if m.off {
		return nil
	}
	for i := range len(p.segments) - 1 { // the last one is written to
		if s := &p.segments[i]; s.merged.left*worthwhile <= len(s.batches) {
			if err := m.segment(dir, s, p.segments[i+1].base); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *merger) segment(dir string, s *segment, end int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped != nil || m.patience > 0 && m.took > m.patience {
		m.later++
		return nil
	}
	began := time.Now()
	defer func() { m.took += time.Since(began) }()
	now, err := m.replace(dir, *s)
	if err != nil {
		m.stopped = fmt.Errorf("the batches of %s were not merged, which costs memory and is tried again at the next start: %w", s.file(dir), err)
		if now, err = reread(dir, s.base, end); err != nil {
			return err
		}
	}
	if len(now.batches) < len(s.batches) {
		m.files, m.before, m.after = m.files+1, m.before+len(s.batches), m.after+len(now.batches)
	}
	*s = now
	return nil
}

// reread looks at a file again of which it is not known how far its merging has come, and makes its index fit: the new one may be in
// place, and the new file not.
func reread(dir string, base, end int64) (segment, error) {
	p := partition{segments: []segment{{base: base}}}
	if err := p.read(dir, 0); err != nil {
		return segment{}, err
	}
	return p.segments[0], checkIndex(dir, p.segments[0], end)
}

// replace puts a merged file in the place of one, and returns what it holds; or leaves it as it is, if that is not worthwhile.
func (m *merger) replace(dir string, s segment) (segment, error) {
	file := s.file(dir)
	old, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	merged := merge(old)
	p := partition{end: s.base}
	now := segment{base: s.base, size: int64(len(merged))}
	if rest := p.batches(merged, &now); len(rest) > 0 || len(now.batches)*worthwhile > len(s.batches) {
		return s, nil // its records are not what the heads of its batches say
	}
	index := newIndex(now.batches)
	if err := m.check(reserve + uint64(len(merged)+len(index))); err != nil {
		return s, err
	}
	return now, m.write(dir, s, old, merged, index)
}

// write goes through the steps. old is what the file holds.
func (m *merger) write(dir string, s segment, old, merged, index []byte) error {
	file := s.file(dir)
	newFile, newIndex := file+mergeSuffix, s.index(dir)+mergeSuffix
	defer os.Remove(newFile)  //nolint:errcheck // it is there only if what follows failed
	defer os.Remove(newIndex) //nolint:errcheck // likewise
	was, err := os.Stat(file)
	if err != nil {
		return err
	}
	if err := m.beside(newFile, merged); err != nil {
		return err
	}
	written, err := os.ReadFile(newFile)
	if err != nil {
		return err
	}
	if !sameRecords(old, written) {
		return errors.New("the merged file doesn't hold the same records")
	}
	// The oldest of Kafka's questions, which offsets there were at a time, is answered by the times of the files.
	if err := os.Chtimes(newFile, was.ModTime(), was.ModTime()); err != nil {
		return err
	}
	if err := m.beside(newIndex, index); err != nil {
		return err
	}
	if err := m.rename(newIndex, s.index(dir)); err != nil {
		return err
	}
	return m.rename(newFile, file)
}

// beside writes a file that is in nobody's place yet.
func (m *merger) beside(file string, b []byte) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := fill(f, b); err != nil {
		return err
	}
	m.stepped()
	return nil
}

// rename puts a file in the place of another.
func (m *merger) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	m.stepped()
	return nil
}

func (m *merger) stepped() {
	if m.step != nil {
		m.step()
	}
}

// report says what was merged, and why no more.
func (m *merger) report(to *slog.Logger) {
	if m.stopped != nil {
		to.Warn(m.stopped.Error())
	}
	if m.files > 0 {
		to.Info("small batches of the log were merged", "files", m.files, "batches", m.before, "now", m.after,
			"took", m.took.Round(time.Millisecond), "files_for_the_next_start", m.later)
	}
}
