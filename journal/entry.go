package journal

import (
	"encoding/binary"
	"errors"
)

// entryKind says what an entry is.
type entryKind uint8

// The kinds of entries. Their numbers are on the disk.
const (
	recordEntry     entryKind = 1
	commitEntry     entryKind = 2
	topicEntry      entryKind = 3
	epochEntry      entryKind = 4
	producerEntry   entryKind = 5
	checkpointEntry entryKind = 6
)

// An entry is its length without these bytes, its kind, and what the kind says. Numbers are uvarints.
//
//	record      flags, partition, offset, time, producer?, key?, headers?, value?
//	producer    id, epoch, sequence, how many records its batch has: on the first record of the batch
//	key         its length and itself; the same for headers, see Headers; the value is what is left
const entryHeader = 4 + 1

// The flags of a record.
const (
	hasKey = 1 << iota
	hasValue
	hasHeaders
	hasProducer
)

// recordOverhead is more than what a record takes beside its key, value and headers.
const recordOverhead = entryHeader + 1 + 8*binary.MaxVarintLen64

var errEntry = errors.New("an entry can't be read")

// payload is how many bytes a record has.
func (r *Record) payload() int { return len(r.Key) + len(r.Value) + len(r.Headers.encoded) }

// beginEntry appends the start of an entry; endEntry writes its length once the rest is appended.
func beginEntry(b []byte, k entryKind) []byte { return append(b, 0, 0, 0, 0, byte(k)) }

func endEntry(b []byte, at int) {
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
}

func appendRecord(b []byte, partition uint32, r *Record, batch *producerBatch) []byte {
	at := len(b)
	b = append(beginEntry(b, recordEntry), flagsOf(r, batch))
	b = binary.AppendUvarint(b, uint64(partition))
	b = binary.AppendUvarint(b, uint64(r.Offset))
	b = binary.AppendUvarint(b, uint64(r.Time))
	if batch != nil {
		b = batch.append(b)
	}
	b = r.appendPayload(b)
	endEntry(b, at)
	return b
}

// appendPayload appends key, headers and value.
func (r *Record) appendPayload(b []byte) []byte {
	if r.Key != nil {
		b = appendBytes(b, r.Key)
	}
	if len(r.Headers.encoded) > 0 {
		b = appendBytes(b, r.Headers.encoded)
	}
	return append(b, r.Value...)
}

func flagsOf(r *Record, batch *producerBatch) (flags byte) {
	if r.Key != nil {
		flags |= hasKey
	}
	if r.Value != nil {
		flags |= hasValue
	}
	if len(r.Headers.encoded) > 0 {
		flags |= hasHeaders
	}
	if batch != nil {
		flags |= hasProducer
	}
	return flags
}

func appendBytes(b, s []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendOptional(b, s []byte) []byte {
	if s == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(s))+1), s...)
}

// decoder reads what an entry is made of. After the first mistake it returns zeros, and failed says so.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) uint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 { // as most are
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.failed = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int64() int64 { return int64(d.uint()) }

func (d *decoder) bytes() []byte { return d.take(d.uint()) }

func (d *decoder) string() string { return string(d.bytes()) }

// optional is the counterpart of appendOptional.
func (d *decoder) optional() []byte {
	n := d.uint()
	if n == 0 {
		return nil
	}
	return d.take(n - 1)
}

func (d *decoder) byte() byte {
	if b := d.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.failed = nil, true
		return nil
	}
	s := d.b[:n:n]
	d.b = d.b[n:]
	return s
}

// count reads how many things of at least a byte follow.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b, d.failed = nil, true
		return 0
	}
	return int(n)
}

func (d *decoder) err() error {
	if d.failed {
		return errEntry
	}
	return nil
}

// cutEntry returns the first entry of b: its kind and body, and what follows it.
func cutEntry(b []byte) (kind entryKind, body, rest []byte, err error) {
	if len(b) < entryHeader {
		return 0, nil, nil, errEntry
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if n < 1 || n > uint64(len(b)-4) {
		return 0, nil, nil, errEntry
	}
	return entryKind(b[4]), b[entryHeader : 4+n : 4+n], b[4+n:], nil
}

// recordHead is what a record says beside what its readers see.
type recordHead struct {
	partition uint32
	offset    int64
	time      int64
	flags     byte
	batch     producerBatch // if it begins one
}

func (h *recordHead) read(d *decoder) {
	h.flags = d.byte()
	h.partition = uint32(d.uint())
	h.offset, h.time = d.int64(), d.int64()
	if h.flags&hasProducer != 0 {
		h.batch.read(d)
	}
}

// decodeRecord reads a record from the body of its entry, whose memory it shares.
func decodeRecord(body []byte) (r Record, err error) {
	d := decoder{b: body}
	var head recordHead
	head.read(&d)
	r.Offset, r.Time = head.offset, head.time
	r.readPayload(&d, head.flags)
	return r, d.err()
}

// readPayload reads key, headers and value, up to the end.
func (r *Record) readPayload(d *decoder, flags byte) {
	if flags&hasKey != 0 {
		r.Key = d.bytes()
	}
	if flags&hasHeaders != 0 {
		r.Headers.encoded = d.bytes()
	}
	if flags&hasValue != 0 {
		r.Value = d.take(uint64(len(d.b)))
	}
}
