package replay

import "stockflow/codecs"

// mark is what a comparison needs of a row of the changelog. The row itself is read again if it differs.
type mark struct {
	codecs.Head // Rebuilt and Applied alone
	digest      // of the row as the fold would have it
	compared    bool
}

func (m mark) bytes() []byte {
	b := append(append(make([]byte, 0, 33), number(m.Rebuilt)...), number(m.Applied)...)
	b = append(b, m.digest[:]...)
	if m.compared {
		return append(b, 1)
	}
	return append(b, 0)
}

// readMark reads what bytes has written; nothing is the mark of no row.
func readMark(b []byte) (m mark) {
	if b == nil {
		return m
	}
	m.Rebuilt, m.Applied = numberOf(b), numberOf(b[8:])
	copy(m.digest[:], b[16:])
	m.compared = b[32] == 1
	return m
}

// markRow keeps the mark of a row.
func (p *part) markRow(key string, head codecs.Head, row []byte) (kept bool, err error) {
	if row == nil {
		return true, p.rows.put(kindMark, key, nil)
	}
	old, err := p.rows.get(kindMark, key)
	if err != nil || old != nil && readMark(old).Newer(head) {
		return false, err
	}
	if head.Rebuilt != 0 {
		if plain, err := p.plain(row); err == nil { // or else it is a row that no fold makes
			row = plain
		}
	}
	m := mark{Head: head, digest: digestOfRow(key, row)}
	return true, p.rows.put(kindMark, key, m.bytes())
}
