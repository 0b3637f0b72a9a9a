package codecs

import (
	"fmt"
	"strings"

	"stockflow/codecs/internal/wire"
)

// EncodeDeadLetter returns a value of dead-letters. Key, value and headers are kept to the byte; what is not UTF-8
// in the topic or the reason is replaced.
func EncodeDeadLetter(d DeadLetter) []byte {
	m := &wire.DeadLetter{Topic: valid(d.Topic), Partition: d.Partition, Offset: d.Offset, At: d.At,
		Key: d.Key, Value: d.Value, NoValue: d.NoValue, Reason: valid(d.Reason)}
	for _, h := range d.Headers {
		m.Headers = append(m.Headers, &wire.Header{Key: []byte(h.Key), Value: h.Value})
	}
	if r := d.Redrive; r != nil {
		m.Redrive = &wire.Redrive{Id: valid(r.ID), Repaired: r.Repaired, Partition: r.Partition, Offset: r.Offset}
	}
	if c := d.Cut; c != nil {
		m.Cut = &wire.Cut{Size: c.Size, Sha256: c.SHA256, Headers: c.Headers}
	}
	if s := d.Skip; s != nil {
		m.Skip = &wire.Skip{Asked: s.Asked, Done: s.Done}
	}
	return mustMarshal(m)
}

// DecodeDeadLetter reads a value of dead-letters. Empty bytes come back as nil; NoValue tells the two apart where
// it matters.
func DecodeDeadLetter(value []byte) (DeadLetter, error) {
	var m wire.DeadLetter
	if err := m.UnmarshalVT(value); err != nil {
		return DeadLetter{}, fmt.Errorf("dead letter: %w", err)
	}
	d := DeadLetter{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, At: m.At,
		Key: filled(m.Key), Value: filled(m.Value), NoValue: m.NoValue, Reason: m.Reason}
	for _, h := range m.Headers {
		d.Headers = append(d.Headers, Header{Key: string(h.Key), Value: filled(h.Value)})
	}
	if r := m.Redrive; r != nil {
		d.Redrive = &Redrive{ID: valid(r.Id), Repaired: r.Repaired, Partition: r.Partition, Offset: r.Offset}
	}
	if c := m.Cut; c != nil {
		d.Cut = &Cut{Size: c.Size, SHA256: filled(c.Sha256), Headers: c.Headers}
	}
	if s := m.Skip; s != nil {
		d.Skip = &Skip{Asked: s.Asked, Done: s.Done}
	}
	return d, nil
}

func valid(text string) string {
	return strings.ToValidUTF8(text, "\uFFFD")
}

// filled returns nil for no bytes.
func filled(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
