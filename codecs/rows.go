package codecs

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Rows are read and written once for every message, so the generated messages between bytes and states come from
// pools and go back to them; no state keeps a reference to one.

// headField is the tag that every row begins with.
const headField = 1<<3 | byte(protowire.BytesType)

var errNoHead = errors.New("row: does not begin with a head")

// DecodeHead reads the head of a row of any table, and nothing behind it.
func DecodeHead(row []byte) (Head, error) {
	h, _, err := cutHead(row)
	return h, err
}

// cutHead reads the head of a row and returns what is behind it.
func cutHead(row []byte) (h Head, rest []byte, err error) {
	if len(row) == 0 || row[0] != headField {
		return h, nil, errNoHead
	}
	var head field
	if rest, err = head.read(row); err == nil {
		h, err = readHead(head.bytes)
	}
	if err != nil {
		return Head{}, nil, fmt.Errorf("row: head: %w", err)
	}
	return h, rest, nil
}

// fewSeen is more than most rows have seen.
const fewSeen = 16

func readHead(message []byte) (h Head, err error) {
	var few [fewSeen]Origin
	seen := few[:0]
	var f field
	for len(message) > 0 && err == nil {
		if message, err = f.read(message); err != nil {
			break
		}
		switch {
		case f.is(1, protowire.VarintType):
			h.Rebuilt = int64(f.n)
		case f.is(2, protowire.VarintType):
			h.Applied = protowire.DecodeZigZag(f.n)
		case f.is(3, protowire.BytesType):
			seen, err = readSeenLog(seen, f.bytes)
		case f.is(4, protowire.Fixed64Type):
			h.Redriven = append(h.Redriven, f.n)
		case f.is(4, protowire.BytesType):
			h.Redriven, err = readHashes(h.Redriven, f.bytes)
		}
	}
	if err != nil {
		return Head{}, err
	}
	if len(seen) > 0 {
		h.Seen = slices.Clone(seen)
	}
	return h, nil
}

// readSeenLog appends what was seen of one log. Its name is written before its partitions.
func readSeenLog(seen []Origin, message []byte) (_ []Origin, err error) {
	var log string
	var f field
	for len(message) > 0 {
		if message, err = f.read(message); err != nil {
			return nil, err
		}
		switch {
		case f.is(1, protowire.BytesType):
			log = string(f.bytes)
		case f.is(2, protowire.BytesType):
			o, err := readSeenPartition(log, f.bytes)
			if err != nil {
				return nil, err
			}
			seen = append(seen, o)
		}
	}
	return seen, nil
}

func readSeenPartition(log string, message []byte) (o Origin, err error) {
	o.Log = log
	var f field
	for len(message) > 0 {
		if message, err = f.read(message); err != nil {
			return o, err
		}
		switch {
		case f.is(1, protowire.VarintType):
			o.Partition = int32(f.n)
		case f.is(2, protowire.VarintType):
			o.Offset = int64(f.n)
		case f.is(3, protowire.VarintType):
			o.Index = int32(f.n)
		}
	}
	return o, nil
}

func readHashes(hashes []uint64, packed []byte) ([]uint64, error) {
	for len(packed) > 0 {
		hash, n := protowire.ConsumeFixed64(packed)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		hashes, packed = append(hashes, hash), packed[n:]
	}
	return hashes, nil
}

// appendHead writes the name of a log once for all its partitions: a row may have seen dozens.
func appendHead(b []byte, h Head) []byte {
	b = appendNumber(b, 1, uint64(h.Rebuilt))
	b = appendNumber(b, 2, protowire.EncodeZigZag(h.Applied))
	for rest := h.Seen; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Log == rest[0].Log {
			n++
		}
		b = appendSeenLog(b, rest[:n])
		rest = rest[n:]
	}
	if len(h.Redriven) == 0 {
		return b
	}
	b, begin := openField(b, 4)
	for _, hash := range h.Redriven {
		b = protowire.AppendFixed64(b, hash)
	}
	return closeField(b, begin)
}

// appendSeenLog writes what was seen of one log.
func appendSeenLog(b []byte, seen []Origin) []byte {
	b, log := openField(b, 3)
	b = appendText(b, 1, seen[0].Log)
	for _, o := range seen {
		var partition int
		b, partition = openField(b, 2)
		b = appendNumber(b, 1, uint64(o.Partition))
		b = appendNumber(b, 2, uint64(o.Offset))
		b = appendNumber(b, 3, uint64(o.Index))
		b = closeField(b, partition)
	}
	return closeField(b, log)
}

// tableRow is what the generated messages of the tables have in common. Their field head is not used here.
type tableRow[M any] interface {
	*M
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
	UnmarshalVT([]byte) error
	ReturnToVTPool()
}

// encodeRow writes a head and m behind it, which it gives back to its pool.
func encodeRow[M any, P tableRow[M]](h Head, m P) []byte {
	defer m.ReturnToVTPool()
	var most [512]byte // more than most heads take
	head := appendHead(most[:0], h)
	size := m.SizeVT()
	row := make([]byte, 0, 1+protowire.SizeBytes(len(head))+size)
	row = protowire.AppendBytes(append(row, headField), head)
	behind := row[len(row) : len(row)+size]
	if _, err := m.MarshalToSizedBufferVT(behind); err != nil {
		panic(fmt.Sprintf("codecs: marshalling %T: %v", m, err)) // see mustMarshal
	}
	return row[:len(row)+size]
}

// decodeRow reads a row by means of m, which it gives back to its pool.
func decodeRow[M any, P tableRow[M], S any](row []byte, m P, convert func(P) (S, error)) (h Head, s S, err error) {
	defer m.ReturnToVTPool()
	h, rest, err := cutHead(row)
	if err != nil {
		return h, s, err
	}
	if err = m.UnmarshalVT(rest); err == nil {
		s, err = convert(m)
	}
	if err != nil {
		return Head{}, s, fmt.Errorf("row: %w", err)
	}
	return h, s, nil
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
