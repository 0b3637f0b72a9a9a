package codecs

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"stockflow/codecs/internal/wire"
)

// Rows are read and written once for every message, so the generated messages between bytes and states come from
// pools and go back to them; no state keeps a reference to one.

// headField is the tag that every row begins with.
const headField = 1<<3 | byte(protowire.BytesType)

var errNoHead = errors.New("row: does not begin with a head")

// DecodeHead reads the head of a row of any table, and nothing behind it.
func DecodeHead(row []byte) (Head, error) {
	if len(row) == 0 || row[0] != headField {
		return Head{}, errNoHead
	}
	bytes, n := protowire.ConsumeBytes(row[1:])
	if n < 0 {
		return Head{}, fmt.Errorf("row: head: %w", protowire.ParseError(n))
	}
	m := wire.HeadFromVTPool()
	defer m.ReturnToVTPool()
	if err := m.UnmarshalVT(bytes); err != nil {
		return Head{}, fmt.Errorf("row: head: %w", err)
	}
	return headOf(m), nil
}

// tableRow is what the generated messages of the tables have in common.
type tableRow[M any] interface {
	*M
	UnmarshalVT([]byte) error
	GetHead() *wire.Head
	ReturnToVTPool()
}

// decodeRow reads a row by means of m, which it gives back to its pool.
func decodeRow[M any, P tableRow[M], S any](row []byte, m P, convert func(P) (S, error)) (h Head, s S, err error) {
	defer m.ReturnToVTPool()
	if len(row) == 0 || row[0] != headField {
		return h, s, errNoHead
	}
	if err = m.UnmarshalVT(row); err != nil {
		return h, s, fmt.Errorf("row: %w", err)
	}
	if s, err = convert(m); err != nil {
		return h, s, fmt.Errorf("row: %w", err)
	}
	return headOf(m.GetHead()), s, nil
}

func headOf(m *wire.Head) Head {
	h := Head{Rebuilt: m.GetRebuilt(), Applied: m.GetApplied(), Seen: seenOf(m.GetSeen())}
	if len(m.GetRedriven()) > 0 {
		h.Redriven = slices.Clone(m.Redriven)
	}
	return h
}

func seenOf(logs []*wire.SeenLog) []Origin {
	var n int
	for _, log := range logs {
		n += len(log.Partitions)
	}
	if n == 0 {
		return nil
	}
	seen := make([]Origin, 0, n)
	for _, log := range logs {
		for _, p := range log.Partitions {
			seen = append(seen, Origin{Log: log.Log, Partition: p.Partition, Offset: p.Offset, Index: p.Index})
		}
	}
	return seen
}

// wireHead writes the name of a log once for all its partitions: a row may have seen dozens.
func wireHead(h Head) *wire.Head {
	m := wire.HeadFromVTPool()
	m.Rebuilt, m.Applied = h.Rebuilt, h.Applied
	m.Redriven = append(m.Redriven, h.Redriven...)
	var log *wire.SeenLog
	for _, o := range h.Seen {
		if log == nil || log.Log != o.Log {
			log = next(&m.Seen)
			log.Log = o.Log
		}
		p := next(&log.Partitions)
		p.Partition, p.Offset, p.Index = o.Partition, o.Offset, o.Index
	}
	return m
}

// next returns a new element at the end of a list, one that a pool has kept if there is one. Those are empty.
func next[T any](list *[]*T) *T {
	n := len(*list)
	if n == cap(*list) {
		*list = append(*list, new(T))
		return (*list)[n]
	}
	*list = (*list)[:n+1]
	if (*list)[n] == nil {
		(*list)[n] = new(T)
	}
	return (*list)[n]
}

// knownNumber guards a number from a row that stands for a name: one beyond the last has none.
func knownNumber[S ~int32](field string, number, first, last S) error {
	if number < first || number > last {
		return fmt.Errorf("%s: is not known: %d", field, number)
	}
	return nil
}
