package codecs

import (
	"crypto/sha256"
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
	return d, nil
}

// RedriveID returns the header "redrive" of the message that sends a letter again for the n-th time it is to count, from
// 0. Whatever has the same id counts once, so letters of the same message have the same: one that was redriven and became
// a letter again keeps its id; and an output that a machine sent twice, over a crash, has its origin's, together with
// what it says, as anybody can write an origin.
func RedriveID(d DeadLetter, n int) string {
	id := string(header(d.Headers, HeaderRedrive))
	if id == "" {
		id = fmt.Sprintf("%s/%d/%d", d.Topic, d.Partition, d.Offset)
		if o, err := ParseOrigin(header(d.Headers, HeaderOrigin)); err == nil {
			sum := sha256.Sum256(d.Value)
			id = fmt.Sprintf("%s+%x", EncodeOrigin(o), sum[:8])
		}
	}
	if n > 0 {
		id = fmt.Sprintf("%s#%d", id, n)
	}
	if id = valid(id); len(id) > maxRedriveID {
		sum := sha256.Sum256([]byte(id))
		id = fmt.Sprintf("%x", sum[:16])
	}
	return id
}

// maxRedriveID bounds an id in bytes: a header of anybody's may hold a megabyte, and the id is kept in a note.
const maxRedriveID = 320

// header returns the value of a header, nil if there is none.
func header(headers []Header, key string) []byte {
	for _, h := range headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
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
