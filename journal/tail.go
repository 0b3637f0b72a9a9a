package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"stockflow/journal/files"
)

// tailFile is a file that frames are written to. Its number, name and size never change. The journal's mutex guards the
// other fields; the file itself may be used without it.
type tailFile struct {
	number uint64
	name   string
	size   int64
	file   files.File

	end     int64 // behind the last frame that is durable
	frames  []frameAt
	readers int // how many are reading the file now
}

// frameAt is a frame of a tail file.
type frameAt struct {
	at  uint32
	mem *frame // nil: only on the disk
}

// A tail file begins with a block of this size: magic, format, journal id, number and size of the file, CRC-32C of these,
// zeros.
const (
	tailHeader = 4096
	tailMagic  = "stockflow tail\n\x00"
	tailFormat = 1
	headSize   = len(tailMagic) + 4 + 16 + 8 + 8 + 4
)

// filePerm: the files are nobody else's.
const filePerm = 0o600

const tailPrefix = "tail-"

func tailName(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%012d", tailPrefix, number))
}

// tailNumber returns the number in the name of a tail file.
func tailNumber(name string) (uint64, bool) {
	digits, is := strings.CutPrefix(name, tailPrefix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, is && err == nil && len(digits) >= 12
}

// tailNumbers returns the numbers of the tail files that a directory has, in order.
func tailNumbers(fsys files.FS, dir string) ([]uint64, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		if n, is := tailNumber(e.Name()); is {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

func tailHead(id [16]byte, number uint64, size int64) []byte {
	b := make([]byte, 0, tailHeader)
	b = append(b, tailMagic...)
	b = binary.LittleEndian.AppendUint32(b, tailFormat)
	b = append(b, id[:]...)
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return b[:tailHeader]
}

// readTailHead returns the journal's id and the size of the file as its header has them, false if it isn't the header of
// this number.
func readTailHead(b []byte, number uint64) (id [16]byte, size int64, ok bool) {
	if len(b) < headSize {
		return id, 0, false
	}
	copy(id[:], b[len(tailMagic)+4:])
	size = int64(binary.LittleEndian.Uint64(b[headSize-12:]))
	return id, size, bytes.Equal(b[:headSize], tailHead(id, number, size)[:headSize])
}

// makeTail makes the file of a number, filled with zeros. When it returns, file and name are on the disk. One that has
// the name is overwritten.
func makeTail(o *Options, dir string, id [16]byte, number uint64) (*tailFile, error) {
	name := tailName(dir, number)
	f, err := o.Files.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return nil, err
	}
	err = writeZeros(f, 0, o.TailBytes)
	if err == nil {
		_, err = f.WriteAt(tailHead(id, number, o.TailBytes), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := o.Files.SyncDir(dir); err != nil {
		return nil, err
	}
	return openTail(o, dir, number)
}

// reuseTail gives a file that doesn't count any more the name and header of another number. When it returns, both are on
// the disk. If the process dies before, the file has a header that doesn't fit its name, and isn't used.
func reuseTail(o *Options, dir string, id [16]byte, number uint64, old *tailFile) (*tailFile, error) {
	if err := o.Files.Rename(old.name, tailName(dir, number)); err != nil {
		return nil, err
	}
	if err := o.Files.SyncDir(dir); err != nil {
		return nil, err
	}
	t, err := openTail(o, dir, number)
	if err != nil {
		return nil, err
	}
	if _, err := t.file.WriteAt(tailHead(id, number, t.size), 0); err != nil {
		return nil, errors.Join(err, t.file.Close())
	}
	return t, nil
}

// openTail opens a file for frames. Its header isn't looked at.
func openTail(o *Options, dir string, number uint64) (*tailFile, error) {
	name := tailName(dir, number)
	f, err := o.Files.OpenFile(name, os.O_RDWR|files.DSync, 0)
	if err != nil {
		return nil, err
	}
	return newTail(f, name, number)
}

func newTail(f files.File, name string, number uint64) (*tailFile, error) {
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &tailFile{number: number, name: name, size: size, file: f, end: tailHeader}, nil
}

// writeZeros writes zeros to a part of a file.
func writeZeros(f files.File, from, to int64) error {
	zeros := make([]byte, min(1<<20, to-from))
	for from < to {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// read returns the content of the file, in the memory of buf if that is large enough.
func (t *tailFile) read(buf []byte) ([]byte, error) {
	if int64(cap(buf)) < t.size {
		buf = make([]byte, t.size)
	}
	buf = buf[:t.size]
	n, err := t.file.ReadAt(buf, 0)
	if n == len(buf) {
		return buf, nil
	}
	return nil, fmt.Errorf("read %s: %w", t.name, err)
}
