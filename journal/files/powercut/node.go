package powercut

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"

	"stockflow/journal/files"
)

const sectorSize = 512

// node is a file or a directory. Both have names that are seen and names that are on the disk, so it has none itself.
type node struct {
	perm  fs.FileMode
	names map[string]*node // of a directory, as it is seen; nil for a file
	kept  map[string]*node // of a directory, as it is on the disk
	locks map[*file]files.LockKind

	cache   []byte          // of a file, as it is seen
	disk    []byte          // of a file, as it is on the disk but for the sectors below; zero behind its end
	size    int64           // of a file, on the disk but for the sizes below
	sizes   []resize        // since it was synced: the size on the disk is that of any
	unsized bool            // the sizes were forgotten by a sync that failed
	sectors map[int]*sector // by number: those that may be otherwise on the disk than in disk
	clock   int             // counts writes and sizes
}

// resize is a size that the file got.
type resize struct {
	at   int // by the clock
	size int64
}

// sector is one that was written and not synced.
type sector struct {
	versions []version // in order; what is on the disk is any, or what was there before
	dirty    bool      // the next sync writes it
}

// version is what was in a sector.
type version struct {
	at   int    // by the clock
	cut  bool   // the sector lay behind the end of the file. On the disk that is so if, and only if, the size is
	data []byte // of length sectorSize
}

func newDir(perm fs.FileMode) *node {
	return &node{perm: perm | fs.ModeDir, names: make(map[string]*node), kept: make(map[string]*node)}
}

func newFile(perm fs.FileMode) *node {
	return &node{perm: perm, sectors: make(map[int]*sector)}
}

// each calls f with a node and all that are seen below it.
func (n *node) each(f func(*node)) {
	f(n)
	for _, below := range n.names {
		below.each(f)
	}
}

// write puts b at off into the cache.
func (n *node) write(b []byte, off int64) {
	if len(b) == 0 {
		return
	}
	n.clock++
	end := off + int64(len(b))
	if end > int64(len(n.cache)) {
		n.resize(end)
	}
	copy(n.cache[off:], b)
	for i := int(off / sectorSize); int64(i)*sectorSize < end; i++ {
		n.add(i, false)
	}
}

// truncate sets the size in the cache.
func (n *node) truncate(size int64) {
	n.clock++
	old := int64(len(n.cache))
	if size == old {
		return
	}
	n.resize(size)
	for i := int(size / sectorSize); int64(i)*sectorSize < old; i++ {
		n.add(i, int64(i)*sectorSize >= size)
	}
}

func (n *node) resize(size int64) {
	if size <= int64(len(n.cache)) {
		n.cache = n.cache[:size:size]
	} else {
		n.cache = append(n.cache, make([]byte, size-int64(len(n.cache)))...)
	}
	n.sizes = append(n.sizes, resize{n.clock, size})
	n.unsized = false
}

// add notes that sector i has become what the cache says.
func (n *node) add(i int, cut bool) {
	s := n.sectors[i]
	if s == nil {
		s = &sector{}
		n.sectors[i] = s
	}
	s.dirty = true
	s.versions = append(s.versions, version{n.clock, cut, n.cached(i)})
}

// cached returns sector i as it is seen, with zeros behind the end.
func (n *node) cached(i int) []byte {
	b := make([]byte, sectorSize)
	if from := i * sectorSize; from < len(n.cache) {
		copy(b, n.cache[from:])
	}
	return b
}

// sync puts the sectors from first to last on the disk, and the size.
func (n *node) sync(first, last int) {
	for i, s := range n.sectors {
		if s.dirty && first <= i && i <= last {
			n.put(i, n.cached(i))
			delete(n.sectors, i)
		}
	}
	if n.unsized {
		return
	}
	n.sizes, n.size = nil, int64(len(n.cache))
	for i, s := range n.sectors {
		if at := s.lastCut(n.clock); at >= 0 {
			n.put(i, s.versions[at].data)
			s.versions = s.versions[at+1:]
		}
	}
}

// put writes a sector to the disk.
func (n *node) put(i int, data []byte) {
	if missing := (i+1)*sectorSize - len(n.disk); missing > 0 {
		n.disk = append(n.disk, make([]byte, missing)...)
	}
	copy(n.disk[i*sectorSize:], data)
}

// forget makes everything that is not on the disk no business of the next sync.
func (n *node) forget(first, last int) {
	for i, s := range n.sectors {
		if first <= i && i <= last {
			s.dirty = false
		}
	}
	n.unsized = n.unsized || len(n.sizes) > 0
}

// lastCut returns the last version up to a time that lay behind the end of the file, -1 for none.
func (s *sector) lastCut(at int) int {
	for i, v := range slices.Backward(s.versions) {
		if v.cut && v.at <= at {
			return i
		}
	}
	return -1
}

// upTo returns how many versions a sector may have had before it came to lie behind the end at a later time.
func (s *sector) upTo(at int) int {
	if i := slices.IndexFunc(s.versions, func(v version) bool { return v.cut && v.at > at }); i >= 0 {
		return i
	}
	return len(s.versions)
}

// survivor returns what is found of a file when the power is back.
func (n *node) survivor(rng *rand.Rand, l luck) *node {
	size, at := n.size, 0
	if i := l.choose(rng, len(n.sizes)); i >= 0 {
		size, at = n.sizes[i].size, n.sizes[i].at
	}
	found := newFile(n.perm)
	found.disk = append([]byte(nil), n.disk...)
	for _, i := range slices.Sorted(maps.Keys(n.sectors)) {
		s := n.sectors[i]
		first := s.lastCut(at) // -1: what is in disk
		if v := first + 1 + l.choose(rng, s.upTo(at)-first-1); v >= 0 {
			found.put(i, s.versions[v].data)
		}
	}
	if missing := size - int64(len(found.disk)); missing > 0 {
		found.disk = append(found.disk, make([]byte, missing)...)
	}
	found.disk = found.disk[:size:size]
	found.cache, found.size = slices.Clone(found.disk), size
	return found
}
