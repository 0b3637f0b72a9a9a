package replay

import (
	"encoding/binary"
	"hash/maphash"
)

// spillTable is a map in memory. It lies in a few large blocks without pointers, so that a million small rows take little more
// than their bytes, and the garbage collector doesn't look at them. It is for one goroutine at a time.
type spillTable struct {
	seed   maphash.Seed
	slots  []slot // a power of two of them, at most three quarters taken; who finds its slot taken has the next free one
	taken  int
	blocks [][]byte
	used   int // of the last block
	size   int // of all entries
	dead   int // of those that were replaced
}

// slot says where the entry of a key is.
type slot struct {
	hash uint32 // the upper half of the key's
	at   place  // 0 for a free one
}

// place is where an entry begins: the number of its block, and in eighths the offset there; and one more.
type place uint32

const (
	blockBytes = 1 << 20
	firstBytes = 32 << 10 // of the first block: there are many shelves with little on them
	alignment  = 8
	inBlock    = blockBytes / alignment
	// entryHead is the length of the key, and one more than that of the value, 0 for a key that is deleted. Both
	// follow it.
	entryHead = 4 + 4
)

func newSpillTable() *spillTable {
	return &spillTable{seed: maphash.MakeSeed(), slots: make([]slot, 1<<6)}
}

// find returns the slot of a key, a free one if it isn't there.
func (s *spillTable) find(key []byte) (hash uint64, found *slot) {
	hash = maphash.Bytes(s.seed, key)
	for i := hash; ; i++ {
		at := &s.slots[i&uint64(len(s.slots)-1)]
		if at.at == 0 {
			return hash, at
		}
		if at.hash == uint32(hash>>32) {
			if k, _ := s.entry(at.at); string(k) == string(key) {
				return hash, at
			}
		}
	}
}

// get returns the value of a key, nil for one that is deleted. It is overwritten with the next put.
func (s *spillTable) get(key []byte) (value []byte, known bool) {
	_, found := s.find(key)
	if found.at == 0 {
		return nil, false
	}
	_, value = s.entry(found.at)
	return value, true
}

// put keeps a copy of key and value. With a value of nil it notes that the key is deleted.
func (s *spillTable) put(key, value []byte) {
	hash, found := s.find(key)
	if found.at == 0 {
		*found = slot{uint32(hash >> 32), s.add(key, value)}
		if s.taken++; s.taken > len(s.slots)/4*3 {
			s.widen()
		}
		return
	}
	k, v := s.entry(found.at)
	if len(v) == len(value) && (v == nil) == (value == nil) {
		copy(v, value)
		return
	}
	s.dead += room(k, v)
	found.at = s.add(key, value)
}

// widen makes twice as many slots.
func (s *spillTable) widen() {
	old := s.slots
	s.slots = make([]slot, 2*len(old))
	for _, o := range old {
		if o.at != 0 {
			key, _ := s.entry(o.at)
			_, free := s.find(key)
			*free = o
		}
	}
}

// copied returns a copy that is nil for nil, and only then.
func copied(value []byte) []byte {
	if value == nil {
		return nil
	}
	return append([]byte{}, value...)
}

// room is what an entry takes.
func room(key, value []byte) int {
	return (entryHead + len(key) + len(value) + alignment - 1) / alignment * alignment
}

func (s *spillTable) add(key, value []byte) place {
	need := room(key, value)
	if len(s.blocks) == 0 || s.used+need > len(s.blocks[len(s.blocks)-1]) {
		size := blockBytes
		if len(s.blocks) == 0 {
			size = firstBytes
		}
		s.blocks, s.used = append(s.blocks, make([]byte, max(size, need))), 0 // the first of a block fits, whatever its size
	}
	at := 1 + place(len(s.blocks)-1)*inBlock + place(s.used/alignment)
	b := s.blocks[len(s.blocks)-1][s.used:]
	s.used += need
	s.size += need
	binary.LittleEndian.PutUint32(b, uint32(len(key)))
	copy(b[entryHead:], key)
	if value != nil {
		binary.LittleEndian.PutUint32(b[4:], uint32(len(value)+1))
		copy(b[entryHead+len(key):], value)
	}
	return at
}

// entry returns the key and the value at a place.
func (s *spillTable) entry(at place) (key, value []byte) {
	return split(s.blocks[(at-1)/inBlock][(at-1)%inBlock*alignment:])
}

func split(b []byte) (key, value []byte) {
	key = b[entryHead:][:binary.LittleEndian.Uint32(b)]
	if n := binary.LittleEndian.Uint32(b[4:]); n > 0 {
		value = b[entryHead+len(key):][: n-1 : n-1]
	}
	return key, value
}

// each calls f with all there is, in no order. f may not change the shelf.
func (s *spillTable) each(f func(key, value []byte)) {
	for _, o := range s.slots {
		if o.at != 0 {
			f(s.entry(o.at))
		}
	}
}

// tidy gives back what replaced entries take.
func (s *spillTable) tidy() {
	old := s.blocks
	in := make([][]uint32, len(old)) // the slots by block, so that each block can go when it was copied
	for i, o := range s.slots {
		if o.at != 0 {
			n := (o.at - 1) / inBlock
			in[n] = append(in[n], uint32(i))
		}
	}
	s.blocks, s.used, s.size, s.dead = nil, 0, 0, 0
	for n, slots := range in {
		for _, i := range slots {
			o := &s.slots[i]
			o.at = s.add(split(old[n][(o.at-1)%inBlock*alignment:]))
		}
		old[n] = nil
	}
}
