package codecs

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// What is read and written for every message, and is only a few fields, is so without the generated messages: heads of rows,
// and the header taken.

// field is a field of a message in Protobuf's binary form.
type field struct {
	number protowire.Number
	kind   protowire.Type
	n      uint64 // the value of a varint or of 64 fixed bits
	bytes  []byte // the value of what has a length
}

// is reports whether the field has that number and kind. As in Protobuf, one of another kind is a field that is not known.
func (f field) is(number protowire.Number, kind protowire.Type) bool {
	return f.number == number && f.kind == kind
}

// read reads the first field of a message that is not empty, and returns what is behind it.
func (f *field) read(message []byte) (rest []byte, err error) {
	tag, n := readVarint(message)
	f.number, f.kind = protowire.Number(tag>>3), protowire.Type(tag&7)
	if n < 0 || tag>>3 < 1 || tag>>3 > uint64(protowire.MaxValidNumber) {
		_, _, n = protowire.ConsumeTag(message) // which says what is wrong
		return nil, protowire.ParseError(n)
	}
	rest = message[n:]
	switch f.kind {
	case protowire.VarintType:
		f.n, n = readVarint(rest)
	case protowire.BytesType:
		size, begin := readVarint(rest)
		if n = begin; n >= 0 && size <= uint64(len(rest)-begin) {
			f.bytes, n = rest[begin:begin+int(size)], begin+int(size)
		} else {
			_, n = protowire.ConsumeBytes(rest)
		}
	case protowire.Fixed64Type:
		f.n, n = protowire.ConsumeFixed64(rest)
	default:
		n = protowire.ConsumeFieldValue(f.number, f.kind, rest)
	}
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	return rest[n:], nil
}

// readVarint is quick with the numbers of one byte, which most are.
func readVarint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return protowire.ConsumeVarint(b)
}

// tagOf is the tag of a field with a number below 16.
func tagOf(number protowire.Number, kind protowire.Type) byte {
	return byte(number)<<3 | byte(kind)
}

// appendNumber appends a field, unless it is 0.
func appendNumber(b []byte, number protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(append(b, tagOf(number, protowire.VarintType)), n)
}

// appendText appends a field, unless it is empty.
func appendText(b []byte, number protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(append(b, tagOf(number, protowire.BytesType)), text)
}

// openField begins a field that has a length, which closeField puts before what was appended from begin on.
func openField(b []byte, number protowire.Number) (opened []byte, begin int) {
	b = append(b, tagOf(number, protowire.BytesType))
	return b, len(b)
}

func closeField(b []byte, begin int) []byte {
	n := len(b) - begin
	b = protowire.AppendVarint(b, uint64(n)) // makes room
	copy(b[len(b)-n:], b[begin:begin+n])
	protowire.AppendVarint(b[:begin], uint64(n))
	return b
}
