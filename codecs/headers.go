package codecs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stockflow/codecs/internal/wire"
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
	b := append(make([]byte, 0, len(o.Log)+24), o.Log...)
	for _, n := range []int64{int64(o.Partition), o.Offset, int64(o.Index)} {
		b = strconv.AppendInt(append(b, '/'), n, 10)
	}
	return b
}

// ParseOrigin reads the header "origin". It takes only what EncodeOrigin writes, so that one origin has one text.
func ParseOrigin(header []byte) (Origin, error) {
	log, numbers, _ := strings.Cut(string(header), "/")
	if !topicName(log) || strings.Count(numbers, "/") != 2 {
		return Origin{}, fmt.Errorf("origin: must be log/partition/offset/index, is %s", quoted(string(header)))
	}
	first, rest, _ := strings.Cut(numbers, "/")
	second, third, _ := strings.Cut(rest, "/")
	partition, err1 := canonical("partition", first, 32)
	offset, err2 := canonical("offset", second, 64)
	index, err3 := canonical("index", third, 32)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Origin{}, err
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
	m := wire.TakenList{Taken: make([]*wire.Taken, len(taken))}
	for i, t := range taken {
		w := &wire.Taken{Offset: t.Offset, Refusal: t.Refusal, Sent: runsOf(t.Sent)}
		if t.Origin != nil {
			w.Origin = string(EncodeOrigin(*t.Origin))
		}
		m.Taken[i] = w
	}
	return mustMarshal(&m)
}

// runsOf puts outputs that follow each other to the same log together: an order asks for up to 1,200 SKUs.
func runsOf(sent []Sent) (runs []*wire.Run) {
	for _, s := range sent {
		if len(runs) == 0 || runs[len(runs)-1].Log != s.Log {
			runs = append(runs, &wire.Run{Log: s.Log})
		}
		last := runs[len(runs)-1]
		last.Keys = append(last.Keys, s.Key)
	}
	return runs
}

// DecodeTaken reads the header "taken"; nil is none taken.
func DecodeTaken(header []byte) ([]Taken, error) {
	var m wire.TakenList
	if err := m.UnmarshalVT(header); err != nil {
		return nil, fmt.Errorf("taken: %w", err)
	}
	if len(m.Taken) == 0 {
		return nil, nil
	}
	taken := make([]Taken, len(m.Taken))
	for i, w := range m.Taken {
		t, err := takenOf(w)
		if err != nil {
			return nil, fmt.Errorf("taken: %w", err)
		}
		taken[i] = t
	}
	return taken, nil
}

func takenOf(w *wire.Taken) (Taken, error) {
	t := Taken{Offset: w.Offset, Refusal: w.Refusal}
	if w.Origin != "" {
		o, err := ParseOrigin([]byte(w.Origin))
		if err != nil {
			return Taken{}, err
		}
		t.Origin = &o
	}
	for _, run := range w.Sent {
		for _, key := range run.Keys {
			t.Sent = append(t.Sent, Sent{Log: run.Log, Key: key})
		}
	}
	return t, nil
}
