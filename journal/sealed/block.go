package sealed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A block is a header and records of one partition, compressed together. Records are offset and time as differences to the
// one before, the size of their data, and the data.
const (
	blockHeaderSize = 40
	blockMin        = 64 << 10  // a block that has this many bytes is not made larger than blockMax
	blockMax        = 128 << 10 // but by a single record
)

// MaxData is how many bytes of data a record may have at most.
const MaxData = 16 << 20

// maxRaw is how large a block can be before it was compressed. The decoder allocates no more, whatever a file says.
const maxRaw = blockMin + MaxData + 3*binary.MaxVarintLen64

// maxCount is how many records a block can have: each takes 3 bytes at least, and a block that is large holds a large one.
const maxCount = blockMax/3 + 1

var blockMagic = [4]byte{'s', 't', 'k', 'b'}

// Record is a record of a partition.
type Record struct {
	Offset int64
	Time   int64 // in ms since 1970
	Data   []byte
}

// How the records of a block are written down. Stored is for those that would not get smaller.
const (
	stored = 0
	zstd1  = 1
)

// encoder and decoder may be used by many goroutines at once.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(blockMax),
			zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return d
	})
)

// blockHeader: magic 4, CRC of all the rest 4, partition 4, encoding 1, zero 3, bytes in the file 4, bytes before they were
// compressed 4, first offset 8, time of the first record 8. The number of records follows from the bytes.
type blockHeader struct {
	partition   uint32
	encoding    byte
	packed, raw uint32
	first, time int64
}

// encodeBlock returns the bytes of a block that is to stand at a position.
func encodeBlock(h blockHeader, raw []byte, s seed, position int64) []byte {
	b := make([]byte, blockHeaderSize, blockHeaderSize+len(raw))
	h.encoding, h.raw = zstd1, uint32(len(raw))
	b = encoder().EncodeAll(raw, b)
	if len(b)-blockHeaderSize >= len(raw) {
		h.encoding = stored
		b = append(b[:blockHeaderSize], raw...)
	}
	h.packed = uint32(len(b) - blockHeaderSize)
	copy(b, blockMagic[:])
	le.PutUint32(b[8:], h.partition)
	b[12] = h.encoding
	le.PutUint32(b[16:], h.packed)
	le.PutUint32(b[20:], h.raw)
	le.PutUint64(b[24:], uint64(h.first))
	le.PutUint64(b[32:], uint64(h.time))
	le.PutUint32(b[4:], s.sum(position, b[8:]))
	return b
}

// decodeBlock takes the bytes of a block at a position apart: its header, and the records as they were before they were
// compressed.
func decodeBlock(b []byte, s seed, position int64) (h blockHeader, raw []byte, err error) {
	if len(b) < blockHeaderSize || [4]byte(b) != blockMagic {
		return h, nil, errors.New("there is no block here")
	}
	if s.sum(position, b[8:]) != le.Uint32(b[4:]) {
		return h, nil, errors.New("the CRC of the block is wrong")
	}
	h = blockHeader{
		partition: le.Uint32(b[8:]), encoding: b[12], packed: le.Uint32(b[16:]), raw: le.Uint32(b[20:]),
		first: int64(le.Uint64(b[24:])), time: int64(le.Uint64(b[32:])),
	}
	b = b[blockHeaderSize:]
	if int(h.packed) != len(b) || h.raw > maxRaw {
		return h, nil, fmt.Errorf("the block has %d bytes, and says %d of %d", len(b), h.packed, h.raw)
	}
	raw, err = unpack(h, b)
	if err == nil && len(raw) != int(h.raw) {
		err = fmt.Errorf("the block has %d bytes of records, and says %d", len(raw), h.raw)
	}
	return h, raw, err
}

func unpack(h blockHeader, b []byte) ([]byte, error) {
	switch h.encoding {
	case stored:
		return b, nil
	case zstd1:
		raw, err := decoder().DecodeAll(b, make([]byte, 0, h.raw))
		if err != nil {
			return nil, fmt.Errorf("decompress the block: %w", err)
		}
		return raw, nil
	default:
		return nil, fmt.Errorf("the block has the unknown encoding %d", h.encoding)
	}
}

func appendRecord(b []byte, r Record, offset, time int64) []byte {
	b = binary.AppendUvarint(b, uint64(r.Offset-offset))
	b = binary.AppendUvarint(b, uint64(r.Time-time))
	b = binary.AppendUvarint(b, uint64(len(r.Data)))
	return append(b, r.Data...)
}

// records takes the records of a block apart. Offsets rise, times do not fall. Their data is a part of raw.
func (h blockHeader) records(raw []byte) ([]Record, error) {
	rs := make([]Record, 0, min(len(raw)/128, maxCount)+1)
	last := Record{Offset: h.first, Time: h.time}
	for len(raw) > 0 {
		r, n := cutRecord(raw, last)
		if n == 0 || len(rs) == maxCount {
			return nil, fmt.Errorf("record %d of the block can't be read", len(rs))
		}
		if len(rs) == 0 && r.Offset != h.first || len(rs) > 0 && r.Offset <= last.Offset || r.Time < last.Time {
			return nil, fmt.Errorf("record %d of the block is out of order", len(rs))
		}
		rs, raw, last = append(rs, r), raw[n:], r
	}
	if len(rs) == 0 {
		return nil, errors.New("the block is empty")
	}
	return rs, nil
}

// cutRecord reads the record that b begins with, and returns how many bytes it takes: 0 if there is none.
func cutRecord(b []byte, last Record) (r Record, size int) {
	var v [3]uint64
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(b[size:]); n <= 0 {
			return r, 0
		}
		size += n
	}
	if v[2] > uint64(len(b)-size) {
		return r, 0
	}
	end := size + int(v[2])
	return Record{last.Offset + int64(v[0]), last.Time + int64(v[1]), b[size:end:end]}, end
}
