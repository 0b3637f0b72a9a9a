package views

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"sync"

	"stockflow/codecs"
)

// effects remembers what the last records of one partition of a changelog say of the messages that went into their
// rows: the key of each, the last message that its row has, and its header "taken" as it came. Few are ever asked for,
// and decoded only then.
type effects struct {
	most int // bytes of pages; the last page may go beyond it

	mu      sync.Mutex // guards what follows, and is held while a row and its header are put in their places
	pages   pages
	size    int                        // the capacities of pages
	waiting map[string][]chan struct{} // by the key of the row that is waited for
}

// pages hold what is remembered of records, the oldest page first. What is written on them never changes, and only the
// last one grows, so a copy may be read without the lock.
type pages [][]byte

// remembered is what pages hold of a record.
type remembered struct {
	applied int64 // of its row
	before  int64 // of the row of the same key before it, -1 if that is not on its page
	taken   []byte
}

// pageSize is some fifty records. The first record of a partition takes up as much.
const pageSize = 8 << 10

// maxRemembered bounds what a table remembers, all its partitions together, in bytes.
const maxRemembered = 8 << 20

func newEffects(partitions int) []*effects {
	all := make([]*effects, partitions)
	for i := range all {
		all[i] = &effects{most: maxRemembered / partitions}
	}
	return all
}

// place puts a row in its place with set, and then what went into it: nobody sees the one without the other. It wakes
// those who wait for a row of that key. applied is the row's; a record without a header, nil, has taken in nothing.
func (e *effects) place(key string, applied int64, taken []byte, set func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := set(); err != nil {
		return err
	}
	if taken != nil {
		e.remember(key, applied, taken)
	}
	if len(e.waiting) > 0 {
		e.wake(key)
	}
	return nil
}

// remember writes on the last page, or a new one. The caller holds mu.
func (e *effects) remember(key string, applied int64, taken []byte) {
	last := len(e.pages) - 1
	if need := prefixSize + len(key) + len(taken); last < 0 || cap(e.pages[last])-len(e.pages[last]) < need {
		e.turn(max(need, pageSize))
		last = len(e.pages) - 1
	}
	e.pages[last] = appendRecord(e.pages[last], key, applied, taken)
}

// turn begins a page, and drops the oldest that are too many. The caller holds mu.
func (e *effects) turn(size int) {
	e.pages = append(e.pages, make([]byte, 0, size))
	for e.size += size; e.size > e.most && len(e.pages) > 1; {
		e.size -= cap(e.pages[0])
		e.pages[0], e.pages = nil, e.pages[1:]
	}
}

// wake wakes those who wait for a row. The caller holds mu.
func (e *effects) wake(key string) {
	for _, ch := range e.waiting[key] {
		close(ch)
	}
	delete(e.waiting, key)
}

// look asks, by has, whether the row of key has taken in a message. If not, it returns a channel that is closed when
// another record of the key comes; otherwise, and with the error of has, what is remembered at that moment. What the
// row has and is not remembered then will never be.
func (e *effects) look(key string, has func() (bool, error)) (pages, chan struct{}, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if old, err := has(); old || err != nil {
		return slices.Clone(e.pages), nil, err
	}
	if e.waiting == nil {
		e.waiting = map[string][]chan struct{}{}
	}
	ch := make(chan struct{})
	e.waiting[key] = append(e.waiting[key], ch)
	return nil, ch, nil
}

// leave takes back a wait that has ended without what it waited for.
func (e *effects) leave(key string, ch chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	left := slices.DeleteFunc(e.waiting[key], func(w chan struct{}) bool { return w == ch })
	if len(left) == 0 {
		delete(e.waiting, key)
		return
	}
	e.waiting[key] = left
}

// of returns the records of key, those of the last page first.
func (ps pages) of(key string) iter.Seq[remembered] {
	return func(yield func(remembered) bool) {
		for _, page := range slices.Backward(ps) {
			before := int64(-1)
			for len(page) > 0 {
				name, r, rest := cutRecord(page)
				page = rest
				if string(name) != key {
					continue
				}
				if r.before = before; !yield(r) {
					return
				}
				before = r.applied
			}
		}
	}
}

// mayHave reports whether a record may have taken in a message, or the output that an origin names, whose text is
// text: without decoding it, as there may be thousands of a key.
func (r remembered) mayHave(name codecs.Origin, text []byte) bool {
	if name.Index == whole {
		return r.before < name.Offset && name.Offset <= r.applied
	}
	return bytes.Contains(r.taken, text)
}

// prefixSize is what stands before a record: its row's applied, and the lengths of its key and its header.
const prefixSize = 8 + 4 + 4

func appendRecord(page []byte, key string, applied int64, taken []byte) []byte {
	page = binary.LittleEndian.AppendUint64(page, uint64(applied))
	page = binary.LittleEndian.AppendUint32(page, uint32(len(key)))
	page = binary.LittleEndian.AppendUint32(page, uint32(len(taken)))
	return append(append(page, key...), taken...)
}

// cutRecord cuts the first record off a page.
func cutRecord(page []byte) (key []byte, r remembered, rest []byte) {
	r.applied = int64(binary.LittleEndian.Uint64(page))
	keyEnd := prefixSize + binary.LittleEndian.Uint32(page[8:])
	end := keyEnd + binary.LittleEndian.Uint32(page[12:])
	r.taken = page[keyEnd:end]
	return page[prefixSize:keyEnd], r, page[end:]
}
