package history

import (
	"encoding/binary"
	"errors"
	"math"

	"stockflow/engine"
)

// What lies in a goleveldb of annals. Keys of rows hold no control characters, so the byte 0 ends them and the entries of
// one key, in the order of their offsets, are one range.
const (
	entryPrefix    = 'e' // key, 0, offset: a message
	snapshotPrefix = 's' // key, 0, offset: the row after the message
	countPrefix    = 'c' // key: how many messages there are since the last snapshot
	landedPrefix   = 'o' // origin, 0, offset: a message with that origin
	forgedPrefix   = 'f' // offset: a message whose origin lay beyond its log when it came
	markKey        = "\x00mark"
)

// place is the name of an entry or of something beside it.
func place(prefix byte, key string, offset int64) []byte {
	b := make([]byte, 0, len(key)+10)
	b = append(b, prefix)
	b = append(b, key...)
	b = append(b, 0)
	return binary.BigEndian.AppendUint64(b, uint64(offset))
}

// offsetOf reads the offset that a place ends with.
func offsetOf(place []byte) int64 {
	return int64(binary.BigEndian.Uint64(place[len(place)-8:]))
}

func countKey(key string) []byte { return append([]byte{countPrefix}, key...) }

func forgedKey(offset int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{forgedPrefix}, uint64(offset))
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

// bytes writes an entry down, without its place.
func (e entry) bytes() []byte {
	b := make([]byte, 1, len(e.Value)+len(e.Origin)+len(e.Redrive)+20)
	b = binary.AppendVarint(b, e.At)
	b = binary.AppendUvarint(b, uint64(e.by-e.At))
	for _, part := range []struct {
		flag byte
		text []byte
	}{{hasOrigin, e.Origin}, {hasRedrive, e.Redrive}} {
		if part.text != nil {
			b[0] |= part.flag
			b = append(binary.AppendUvarint(b, uint64(len(part.text))), part.text...)
		}
	}
	if e.Value != nil {
		b[0] |= hasValue
		b = append(b, e.Value...)
	}
	return b
}

var errEntry = errors.New("an entry of the annals does not decode")

// readEntry reads what bytes has written. It keeps nothing of b.
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
