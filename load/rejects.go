package load

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// rejects is the file of the rows that were not taken, or not decided in time, in the order of the file that is loaded:
// the line, the reason, and then the row as it is, so that a rejects file that was repaired can be loaded as it stands.
// A row that was not decided has a reason that begins with "pending", and without an id it would count again. The file is
// made with the first such row.
type rejects struct {
	path   string
	header []string
	file   *os.File // nil before the first row
	csv    *csv.Writer
	size   int64 // of what was written
	synced int64 // of what is on the disk
}

// openRejects goes on behind what a run before this one wrote, and removes what that wrote of rows that it did not
// settle.
func openRejects(path string, size int64, header []string) (*rejects, error) {
	r := &rejects{path: path, header: header, size: size, synced: size}
	if size == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return r, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w; --restart loads the file from its beginning", err)
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil && end < size {
		err = fmt.Errorf("%s is shorter than it was left; --restart loads the file from its beginning", path)
	}
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.use(f)
	return r, nil
}

func (r *rejects) use(f *os.File) { r.file, r.csv = f, csv.NewWriter(sized{f, &r.size}) }

// sized counts what is written.
type sized struct {
	to   io.Writer
	size *int64
}

func (s sized) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	*s.size += int64(n)
	return n, err
}

// add writes the rows that have a reason.
func (r *rejects) add(rows []fileRow) error {
	for _, row := range rows {
		if row.reason == "" {
			continue
		}
		if r.file == nil {
			f, err := os.Create(r.path)
			if err != nil {
				return err
			}
			r.use(f)
			if err := r.csv.Write(append([]string{"reject_line", "reject_reason"}, r.header...)); err != nil {
				return err
			}
		}
		if err := r.csv.Write(append([]string{strconv.FormatInt(row.line, 10), row.reason}, row.cells...)); err != nil {
			return err
		}
	}
	return nil
}

// sync puts what was added on the disk.
func (r *rejects) sync() error {
	if r.file == nil {
		return nil
	}
	r.csv.Flush()
	if err := r.csv.Error(); err != nil || r.size == r.synced {
		return err
	}
	r.synced = r.size
	return r.file.Sync()
}

func (r *rejects) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
