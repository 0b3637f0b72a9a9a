package broker

import (
	"bytes"
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
)

const bitsCodec = 0x07

// level returns the records of a batch with all of them at the batch's first time, and whether they are whole: count
// records, well formed to the last byte. Compressed ones stay compressed. It may return the bytes that it was given.
func level(records []byte, count int, attributes uint16) ([]byte, bool) {
	codec := kgo.CompressionCodecType(attributes & bitsCodec)
	if codec == kgo.CodecNone {
		out, _, ok := levelPlain(records, count)
		return out, ok
	}
	plain, err := decompressor.Decompress(records, codec)
	if err != nil {
		return nil, false
	}
	out, changed, ok := levelPlain(plain, count)
	if !ok || !changed {
		return records, ok
	}
	return compress(out, codec)
}

var (
	decompressor = kgo.DefaultDecompressor()
	codecs       = map[kgo.CompressionCodecType]kgo.CompressionCodec{
		kgo.CodecGzip:   kgo.GzipCompression(),
		kgo.CodecSnappy: kgo.SnappyCompression(),
		kgo.CodecLz4:    kgo.Lz4Compression(),
		kgo.CodecZstd:   kgo.ZstdCompression(),
	}
)

func compress(plain []byte, codec kgo.CompressionCodecType) ([]byte, bool) {
	c, err := kgo.DefaultCompressor(codecs[codec])
	if err != nil || c == nil {
		return nil, false
	}
	out, used := c.Compress(new(bytes.Buffer), plain)
	return out, used == codec
}

// levelPlain is level for records that aren't compressed. Most batches are level already: a record alone, or several of
// the same millisecond. They are returned as they are.
func levelPlain(records []byte, count int) (out []byte, changed, ok bool) {
	spread, ok := inspect(records, count)
	if !ok || !spread {
		return records, false, ok
	}
	return joinLevel(records), true, true
}

// inspect reports whether b is count records, numbered as they should be, and whether they have different times.
func inspect(b []byte, count int) (spread, ok bool) {
	for i := 0; i < count; i++ {
		var r record
		if r, b, ok = cutRecord(b); !ok || r.offset != int64(i) {
			return false, false
		}
		spread = spread || r.time != 0
	}
	return spread, count > 0 && len(b) == 0
}

// record is a record of a batch: its attributes, its distance to the batch's first time and first offset, and the
// bytes behind the time, with the offset, and behind the offset: key, value and headers.
type record struct {
	attributes   byte
	time, offset int64
	body, fields []byte
}

// joinLevel writes records that inspect has found whole with a distance of 0 to the first time, which takes one byte.
func joinLevel(records []byte) []byte {
	out := make([]byte, 0, len(records))
	for r, rest, ok := cutRecord(records); ok; r, rest, ok = cutRecord(rest) {
		out = binary.AppendVarint(out, int64(len(r.body)+2))
		out = append(out, r.attributes, 0)
		out = append(out, r.body...)
	}
	return out
}

// cutRecord returns the first record of b and what follows it. ok is false if there is no whole one.
func cutRecord(b []byte) (r record, rest []byte, ok bool) {
	b, rest, ok = cutSized(b)
	if !ok || len(b) == 0 {
		return r, nil, false
	}
	r.attributes = b[0]
	if r.time, r.body, ok = cutVarint(b[1:]); !ok {
		return r, nil, false
	}
	r.offset, r.fields, ok = cutVarint(r.body)
	return r, rest, ok && wholeFields(r.fields)
}

// wholeFields reports whether b is a key, a value and headers, and no more.
func wholeFields(b []byte) bool {
	var ok bool
	for range 2 {
		if _, b, ok = cutNullable(b); !ok {
			return false
		}
	}
	headers, b, ok := cutVarint(b)
	for i := int64(0); ok && i < headers; i++ {
		if _, b, ok = cutSized(b); ok {
			_, b, ok = cutNullable(b)
		}
	}
	return ok && headers >= 0 && len(b) == 0
}

// cutVarint returns the number that b begins with, and what follows. Nearly all of them have one byte.
func cutVarint(b []byte) (int64, []byte, bool) {
	if len(b) > 0 && b[0] < 0x80 {
		return int64(b[0]>>1) ^ -int64(b[0]&1), b[1:], true
	}
	v, n := binary.Varint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// cutSized returns bytes that have their length before them, and what follows.
func cutSized(b []byte) (field, rest []byte, ok bool) {
	size, b, ok := cutVarint(b)
	if !ok || size < 0 || size > int64(len(b)) {
		return nil, nil, false
	}
	return b[:size], b[size:], true
}

// cutNullable is cutSized for what may be missing, which is written as the length -1.
func cutNullable(b []byte) (field, rest []byte, ok bool) {
	if size, after, ok := cutVarint(b); ok && size == -1 {
		return nil, after, true
	}
	return cutSized(b)
}
