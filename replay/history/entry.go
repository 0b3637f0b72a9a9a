package history

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/syndtr/goleveldb/leveldb/util"

	"stockflow/engine"
)

// What lies in a goleveldb of annals, by its name. Keys of rows hold no control characters, so the byte 0 ends them, and no
// name of something else begins as one of theirs. All there is of a key lies together: a batch that goes there writes, and who
// looks back reads, in one place.
const (
	entryKind    = 'e' // key, 0, kind, offset: a message
	snapshotKind = 's' // key, 0, kind, offset: the row after the message
	tallyKind    = 't' // key, 0, kind: how many messages there are

	markName     = "\x00"
	ruledPrefix  = "\x00f" // offset: a message of which a letter tells what nothing else does, and what it tells
	landedPrefix = "\x00o" // origin, 0, offset: a message with that origin that is none of the first of its key
)

// place is the name of an entry or of something beside it.
func place(key string, kind byte, offset int64) []byte {
	return appendPlace(make([]byte, 0, len(key)+10), key, kind, offset)
}

func appendPlace(b []byte, key string, kind byte, offset int64) []byte {
	return binary.BigEndian.AppendUint64(append(append(b, key...), 0, kind), uint64(offset))
}

// places is the range of what there is of a kind of a key, from an offset on.
func places(key string, kind byte, from int64) *util.Range {
	return &util.Range{Start: place(key, kind, from), Limit: append(append([]byte(nil), key...), 0, kind+1)}
}

func appendTallyName(b []byte, key string) []byte { return append(append(b, key...), 0, tallyKind) }

func appendLanded(b, origin []byte, offset int64) []byte {
	b = append(append(append(b, landedPrefix...), origin...), 0)
	return binary.BigEndian.AppendUint64(b, uint64(offset))
}

// offsetOf reads the offset that a place ends with.
func offsetOf(place []byte) int64 {
	return int64(binary.BigEndian.Uint64(place[len(place)-8:]))
}

// What a letter may tell: that the origin of its message lay beyond its log when the message came, and that the message was
// skipped.
var (
	forged  = []byte(nil)
	skipped = []byte("s")
)

func ruledKey(offset int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(ruledPrefix), uint64(offset))
}

// entry is a message as it is written down.
type entry struct {
	engine.Record
	// by is the time of the latest message of the partition up to this one. It never goes back, where a Kafka of several
	// brokers may give a message an earlier time than the one before.
	by int64
}

// What a message has beside its time.
const (
	hasValue = 1 << iota
	hasOrigin
	hasRedrive
)

// append writes an entry down, without its place.
func (e entry) append(b []byte) []byte {
	flags := len(b)
	b = append(b, 0)
	b = binary.AppendVarint(b, e.At)
	b = binary.AppendUvarint(b, uint64(e.by-e.At))
	if e.Origin != nil {
		b[flags] |= hasOrigin
		b = append(binary.AppendUvarint(b, uint64(len(e.Origin))), e.Origin...)
	}
	if e.Redrive != nil {
		b[flags] |= hasRedrive
		b = append(binary.AppendUvarint(b, uint64(len(e.Redrive))), e.Redrive...)
	}
	if e.Value != nil {
		b[flags] |= hasValue
		b = append(b, e.Value...)
	}
	return b
}

var errEntry = errors.New("an entry of the annals does not decode")

// readEntry reads what append has written. It keeps nothing of b.
func readEntry(key string, partition int32, offset int64, b []byte) (entry, error) {
	e := entry{Record: engine.Record{Partition: partition, Offset: offset, Key: key}}
	if len(b) == 0 {
		return e, errEntry
	}
	flags, b := b[0], append([]byte{}, b[1:]...)
	at, n := binary.Varint(b)
	if n <= 0 {
		return e, errEntry
	}
	b = b[n:]
	late, n := binary.Uvarint(b)
	if n <= 0 || late > math.MaxInt64 {
		return e, errEntry
	}
	b = b[n:]
	e.At, e.by = at, at+int64(late)
	ok := true
	if flags&hasOrigin != 0 {
		e.Origin, b, ok = cut(b)
	}
	if flags&hasRedrive != 0 && ok {
		e.Redrive, b, ok = cut(b)
	}
	if !ok {
		return e, errEntry
	}
	if flags&hasValue != 0 {
		e.Value = b
	}
	return e, nil
}

// cut returns bytes that have their length before them, never nil, and what follows.
func cut(b []byte) (field, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return b[n:end:end], b[end:], true
}
