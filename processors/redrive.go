package processors

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"stockflow/codecs"
	"stockflow/engine"
)

// RedriveID returns the header "redrive" of the message that sends a letter again for the n-th time it is to count, from
// 0. Whatever has the same id counts once in a row, so letters of the same message have the same:
//
//   - One that was redriven and became a letter again keeps its id.
//   - An output that a machine sent twice, over a crash, has its origin's. What it says belongs to the id, for anybody
//     can write an origin.
//   - Any other has its own name.
func RedriveID(d codecs.DeadLetter, n int) string {
	id := string(header(d, codecs.HeaderRedrive))
	if id == "" {
		id = fmt.Sprintf("%s/%d/%d", d.Topic, d.Partition, d.Offset)
		in, err := Read(d.Topic, engine.Record{Key: string(d.Key), Value: d.Value, Origin: header(d, codecs.HeaderOrigin)})
		if err == nil && in.Origin != nil {
			sum := sha256.Sum256(d.Value)
			id = fmt.Sprintf("%s+%x", codecs.EncodeOrigin(*in.Origin), sum[:8])
		}
	}
	if n > 0 {
		id = fmt.Sprintf("%s#%d", id, n)
	}
	if id = strings.ToValidUTF8(id, "\uFFFD"); len(id) > maxRedriveID {
		sum := sha256.Sum256([]byte(id))
		id = fmt.Sprintf("%x", sum[:16])
	}
	return id
}

// maxRedriveID bounds an id in bytes: a header of anybody's may hold a megabyte, and the id is kept in a note.
const maxRedriveID = 320

// header returns the value of a header, nil if there is none.
func header(d codecs.DeadLetter, key string) []byte {
	for _, h := range d.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}
