package sealed

import (
	"encoding/binary"
	"fmt"
)

// blockRef says where a block is, and what it begins with.
type blockRef struct {
	position    int64
	first, time int64
	size        uint32
}

// append writes a reference down, as what differs from the one before.
func (r blockRef) append(b []byte, last blockRef) []byte {
	b = binary.AppendUvarint(b, uint64(r.position-last.position))
	b = binary.AppendUvarint(b, uint64(r.size))
	b = binary.AppendVarint(b, r.first-last.first)
	return binary.AppendVarint(b, r.time-last.time)
}

// decodeList returns the n references of a list. Blocks lie one behind the other, below the position end.
func decodeList(b []byte, n uint32, end int64) ([]blockRef, error) {
	if int64(n) > int64(len(b))/4 { // a reference takes 4 bytes at least
		return nil, fmt.Errorf("a list of %d bytes can't have %d blocks", len(b), n)
	}
	refs := make([]blockRef, 0, n)
	var last blockRef
	for range n {
		r, size := cutRef(b, last)
		if size == 0 || r.position < headerSize || r.position > end-int64(r.size) {
			return nil, fmt.Errorf("block %d of the list can't be where it says", len(refs))
		}
		if len(refs) > 0 && (r.position != last.position+int64(last.size) || r.first <= last.first || r.time < last.time) {
			return nil, fmt.Errorf("block %d of the list is out of order", len(refs))
		}
		refs, b, last = append(refs, r), b[size:], r
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes behind the list", len(b))
	}
	return refs, nil
}

// cutRef reads the reference that b begins with, and returns how many bytes it takes: 0 if there is none.
func cutRef(b []byte, last blockRef) (r blockRef, size int) {
	position, n := binary.Uvarint(b)
	packed, m := binary.Uvarint(b[max(n, 0):])
	if n <= 0 || m <= 0 || packed > blockHeaderSize+maxRaw {
		return r, 0
	}
	size = n + m
	first, n := binary.Varint(b[size:])
	time, m := binary.Varint(b[size+max(n, 0):])
	if n <= 0 || m <= 0 {
		return r, 0
	}
	return blockRef{last.position + int64(position), last.first + first, last.time + time, uint32(packed)}, size + n + m
}
