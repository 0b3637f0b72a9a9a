package files

import (
	"encoding/binary"
	"errors"
	"os"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// LevelDB writes batches to a journal, and to a manifest which files it has. Both are in blocks of chunks: a checksum, a length and a
// kind, and so many bytes. A record is one chunk, or a first, some in the middle, and a last one.
const (
	levelBlock = 32 << 10
	levelHead  = 7

	wholeChunk = 1
	lastChunk  = 4
)

// cutTorn cuts off what was being written to the newest journal, or to the manifest that counts, when the process died or the power
// went: a database that is to be opened strictly would be refused as damaged. What is left is what it was before that write.
func (l *levelDB) cutTorn() error {
	fd, err := l.GetMeta()
	if err != nil {
		return nil //nolint:nilerr // there is none, or LevelDB says what is wrong
	}
	journals, err := l.List(storage.TypeJournal)
	if err != nil {
		return err
	}
	written := []storage.FileDesc{fd}
	for i, j := range journals {
		if i == 0 || j.Num > written[1].Num {
			written = append(written[:1], j)
		}
	}
	for _, fd := range written {
		if err := l.cutTornFile(fd); err != nil {
			return err
		}
	}
	return nil
}

func (l *levelDB) cutTornFile(fd storage.FileDesc) error {
	name, err := l.path(fd)
	if err != nil {
		return err
	}
	b, err := ReadFile(l.fs, name)
	if err != nil {
		return err
	}
	end, torn := wholeRecords(b)
	if !torn || end == len(b) {
		return nil
	}
	f, err := l.fs.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(int64(end)), f.Close())
}

// wholeRecords returns where the last whole record of a journal ends. torn says that what is behind it was never written to its end: the
// file ends in the midst of a record, or there is nothing but zeros. Anything else that is wrong is LevelDB's to find.
func wholeRecords(b []byte) (end int, torn bool) {
	for at := 0; ; {
		if left := levelBlock - at%levelBlock; left < levelHead {
			at += left // there is no room for a chunk
		}
		if len(b)-at < levelHead {
			return end, true
		}
		length, kind := int(binary.LittleEndian.Uint16(b[at+4:])), b[at+6]
		next := at + levelHead + length
		switch {
		case kind == 0:
			return end, allZero(b[at:])
		case kind > lastChunk || next > (at/levelBlock+1)*levelBlock:
			return end, false
		case next > len(b):
			return end, true
		case kind == wholeChunk || kind == lastChunk:
			end = next
		}
		at = next
	}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
