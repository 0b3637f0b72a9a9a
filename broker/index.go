package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Beside each file of a partition the server keeps an index, with an entry for each batch, which it writes when the batch
// is written and before it is acknowledged. A crash between the two leaves one entry too few, and a full disk half a one; as the
// server takes them by their number, each that is written later would then be another batch's.

const (
	indexSuffix  = ".idx"
	indexEntry   = 15
	indexVersion = 1
)

// checkIndex makes sure that the index of a file has an entry for each of the batches in it. An entry more is proof that a batch was
// acknowledged which is no longer there: an error that names the file and where.
func checkIndex(dir string, s segment, end int64) error {
	file := s.index(dir)
	have, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	want := indexEntry * len(s.batches)
	for extra := have[min(want, len(have)):]; len(extra) >= indexEntry; extra = extra[indexEntry:] {
		if wholeIndexEntry(extra) {
			return fmt.Errorf("the log is damaged: %s ends at byte %d, offset %d, and had more that was acknowledged: "+
				"restore it from a backup, or remove %s to do without", s.file(dir), s.size, end, file)
		}
	}
	if len(have) == want {
		return nil
	}
	return replaceFile(file, newIndex(s.batches))
}

func (s segment) index(dir string) string { return filepath.Join(dir, fmt.Sprint(s.base, indexSuffix)) }

func wholeIndexEntry(b []byte) bool {
	return b[0] == indexVersion && b[1] == byte(crc32.Checksum(b[2:indexEntry], castagnoli))
}

// newIndex returns the index of batches, given their leader epochs and whether they are in a transaction. The time in an entry is one that the
// server does not read.
func newIndex(batches []noted) []byte {
	all := make([]byte, 0, indexEntry*len(batches))
	for _, b := range batches {
		e := make([]byte, indexEntry)
		e[0] = indexVersion
		binary.LittleEndian.PutUint32(e[2:], uint32(b.epoch))
		if b.open {
			e[14] = 1
		}
		e[1] = byte(crc32.Checksum(e[2:], castagnoli))
		all = append(all, e...)
	}
	return all
}
