package inventory

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// entry is a receipt or an adjustment: what the two have in common.
type entry struct {
	kind      string // "receive" or "adjust", so that one can't pass for the other
	id        string // "" if the sender named none: then it is not remembered
	quantity  int64
	location  string
	reason    string
	reference string // of a receipt: two deliveries of as many units are told apart by it
}

// recall looks an entry up among the remembered ones. It reports whether the very same was taken before, or
// refuses it because its ID was taken with other content. An entry without ID is never among them.
func (e entry) recall(remembered []Remembered) (known bool, refusal string) {
	hashed := e.hashed()
	i := slices.IndexFunc(remembered, func(r Remembered) bool { return r.ID == hashed.ID })
	switch {
	case i < 0:
		return false, ""
	case remembered[i] != hashed:
		return false, RefusalIDConflict
	}
	return true, ""
}

// remember returns remembered with the entry at its end, without the oldest one if there were too many.
func (e entry) remember(remembered []Remembered) []Remembered {
	if e.id == "" {
		return remembered
	}
	over := max(0, len(remembered)+1-MaxRemembered)
	return append(slices.Clip(remembered[over:]), e.hashed())
}

// hashed is how an entry is remembered: short, whatever length its ID has. Two IDs in a hundred that share
// 64 bits are not to be expected in the life of a warehouse.
func (e entry) hashed() Remembered {
	return Remembered{
		ID:      hash([]byte(e.id)),
		Content: hash(e.content()),
	}
}

// content writes down what must be equal in a repeat. Each text is led by its length, so that no two
// contents are written alike. A reference is written only if there is one: rows that were made without keep their
// bytes.
func (e entry) content() []byte {
	var b []byte
	for _, text := range []string{e.kind, e.location, e.reason} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.AppendVarint(b, e.quantity)
	if e.reference != "" {
		b = binary.AppendUvarint(b, uint64(len(e.reference)))
		b = append(b, e.reference...)
	}
	return b
}

// hash is the start of a SHA-256. It is written into rows, so it may never change.
func hash(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8])
}
