package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// The server keeps what groups have committed, and which producers there are, as entries in a file each, and reads them up to the first
// that is not whole. But it goes on writing behind one that a crash or a full disk has torn, and at the next start it would
// not see any of that.

// entryFiles are those files, in the directory of the log.
var entryFiles = []string{"groups.log", "pids.log"}

// mendEntries takes torn entries out of the files, and says how much it took. What is whole before and behind them stays.
func mendEntries(data string) (warnings []string, err error) {
	for _, name := range entryFiles {
		file := filepath.Join(data, name)
		b, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return warnings, err
		}
		whole := wholeEntries(b)
		if len(whole) == len(b) {
			continue
		}
		if err := replaceFile(file, whole); err != nil {
			return warnings, err
		}
		warnings = append(warnings, fmt.Sprintf("%s: %d bytes of torn entries were taken out", file, len(b)-len(whole)))
	}
	return warnings, nil
}

// wholeEntries returns the entries of b that are whole, one behind the other.
func wholeEntries(b []byte) []byte {
	var whole []byte
	for len(b) > 0 {
		n := entrySize(b)
		if n == 0 {
			b = b[1:]
			continue
		}
		whole, b = append(whole, b[:n]...), b[n:]
	}
	return whole
}

// entrySize returns the size of the entry that b begins with, 0 if that is no whole one: four bytes of the size of what comes
// behind eight bytes, four of its checksum, two of a version and what the entry says.
func entrySize(b []byte) int {
	const head, version = 8, 2
	if len(b) < head+version {
		return 0
	}
	size := int64(binary.LittleEndian.Uint32(b))
	if size < version || head+size > int64(len(b)) {
		return 0
	}
	n := int(head + size)
	if crc32.Checksum(b[head:n], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0
	}
	return n
}
