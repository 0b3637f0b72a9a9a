package codecs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The headers of records. None is required of an outsider. Those of CloudEvents follow its binary mode for Kafka.
const (
	HeaderID          = "ce_id"
	HeaderType        = "ce_type"
	HeaderSource      = "ce_source"
	HeaderTime        = "ce_time"
	HeaderSpecVersion = "ce_specversion"
	HeaderContentType = "content-type"
	HeaderTraceParent = "traceparent" // W3C Trace Context
	HeaderOrigin      = "origin"      // see EncodeOrigin; on every message that a machine sends
	HeaderTaken       = "taken"       // see EncodeTaken; on every changelog record
	HeaderRedrive     = "redrive"     // the id of the redrive that sent a dead letter again
)

// What stands in the headers that are always the same.
const (
	SpecVersion         = "1.0"
	ContentTypeProtobuf = "application/protobuf"
)

// maxLogName is Kafka's bound for the name of a topic.
const maxLogName = 249

// EncodeOrigin returns the header "origin", a text for people too: "order-events/3/1042/0".
func EncodeOrigin(o Origin) []byte {
	return AppendOrigin(make([]byte, 0, len(o.Log)+24), o)
}

// AppendOrigin appends what EncodeOrigin returns.
func AppendOrigin(b []byte, o Origin) []byte {
	b = append(b, o.Log...)
	b = strconv.AppendInt(append(b, '/'), int64(o.Partition), 10)
	b = strconv.AppendInt(append(b, '/'), o.Offset, 10)
	return strconv.AppendInt(append(b, '/'), int64(o.Index), 10)
}

// ParseOrigin reads the header "origin". It takes only what EncodeOrigin writes, so that one origin has one text.
func ParseOrigin(header []byte) (Origin, error) {
	text := string(header)
	log, rest, _ := strings.Cut(text, "/")
	first, rest, _ := strings.Cut(rest, "/")
	second, third, all := strings.Cut(rest, "/")
	if !all || !topicName(log) || strings.Contains(third, "/") {
		return Origin{}, fmt.Errorf("origin: must be log/partition/offset/index, is %s", quoted(text))
	}
	partition, err1 := canonical("partition", first, 32)
	offset, err2 := canonical("offset", second, 64)
	index, err3 := canonical("index", third, 32)
	if err1 != nil || err2 != nil || err3 != nil {
		return Origin{}, errors.Join(err1, err2, err3)
	}
	return Origin{Log: log, Partition: int32(partition), Offset: offset, Index: int32(index)}, nil
}

// canonical reads a number of 0 or more that is written in the one shortest way.
func canonical(part, text string, bits int) (int64, error) {
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil || text[0] < '0' || text[0] > '9' || text[0] == '0' && len(text) > 1 {
		return 0, fmt.Errorf("origin: %s: must be a number of %d bits without sign or leading zeros, is %s",
			part, bits-1, quoted(text))
	}
	return n, nil
}

func topicName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return name != "" && len(name) <= maxLogName
}

// EncodeTaken returns the header "taken". Two of them, one after the other, are the header of both lists.
func EncodeTaken(taken []Taken) []byte {
	size := 0
	for _, t := range taken {
		size += takenRoom(t)
	}
	b := make([]byte, 0, size)
	for _, t := range taken {
		var begin int
		b, begin = openField(b, 1)
		b = closeField(appendTaken(b, t), begin)
	}
	return b
}

// takenRoom is at least as many bytes as are written for t.
func takenRoom(t Taken) int {
	n := 24 + len(t.Refusal)
	if t.Origin != nil {
		n += len(t.Origin.Log) + 48
	}
	for i, s := range t.Sent {
		n += len(s.Key) + 4
		if i == 0 || t.Sent[i-1].Log != s.Log {
			n += len(s.Log) + 12
		}
	}
	return n
}

func appendTaken(b []byte, t Taken) []byte {
	b = appendNumber(b, 1, uint64(t.Offset))
	b = appendText(b, 2, t.Refusal)
	if t.Origin != nil {
		var origin int
		b, origin = openField(b, 3)
		b = closeField(AppendOrigin(b, *t.Origin), origin)
	}
	for rest := t.Sent; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Log == rest[0].Log {
			n++
		}
		b = appendRun(b, rest[:n])
		rest = rest[n:]
	}
	return b
}

// appendRun writes outputs that follow each other to the same log together: an order asks for up to 1,200 SKUs.
func appendRun(b []byte, sent []Sent) []byte {
	b, begin := openField(b, 4)
	b = appendText(b, 1, sent[0].Log)
	for _, s := range sent { // an empty key is one, too
		b = protowire.AppendString(append(b, tagOf(2, protowire.BytesType)), s.Key)
	}
	return closeField(b, begin)
}

// DecodeTaken reads the header "taken"; nil is none taken.
func DecodeTaken(header []byte) (taken []Taken, err error) {
	var f field
	for len(header) > 0 {
		if header, err = f.read(header); err != nil {
			return nil, fmt.Errorf("taken: %w", err)
		}
		if !f.is(1, protowire.BytesType) {
			continue
		}
		t, err := readTaken(f.bytes)
		if err != nil {
			return nil, fmt.Errorf("taken: %w", err)
		}
		taken = append(taken, t)
	}
	return taken, nil
}

func readTaken(message []byte) (t Taken, err error) {
	var f field
	for len(message) > 0 {
		if message, err = f.read(message); err != nil {
			return t, err
		}
		switch {
		case f.is(1, protowire.VarintType):
			t.Offset = int64(f.n)
		case f.is(2, protowire.BytesType):
			t.Refusal = string(f.bytes)
		case f.is(3, protowire.BytesType) && len(f.bytes) > 0:
			o, err := ParseOrigin(f.bytes)
			if err != nil {
				return t, err
			}
			t.Origin = &o
		case f.is(4, protowire.BytesType):
			if t.Sent, err = readRun(t.Sent, f.bytes); err != nil {
				return t, err
			}
		}
	}
	return t, nil
}

// readRun appends the outputs of a run. The name of its log is written before their keys.
func readRun(sent []Sent, message []byte) (_ []Sent, err error) {
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
			sent = append(sent, Sent{Log: log, Key: string(f.bytes)})
		}
	}
	return sent, nil
}
