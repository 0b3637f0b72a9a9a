package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// frame is what one write makes durable. It is filled under the journal's mutex while it is the last one; then only the
// writer touches its header. What readers see of buf never changes.
type frame struct {
	tail    *tailFile
	slot    int      // its place in tail.frames
	at      int64    // where it begins in the file
	first   Position // of its first entry
	entries uint32
	buf     []byte // header and entries; the header is written when the frame is

	ends    []partitionEnd // what becomes durable with it
	commits []commit
	counted int64         // the bytes of it that are counted as ahead
	settled chan struct{} // closed once it is durable or will never be; nil until somebody waits
	err     error         // why it isn't durable; set before settled is closed
}

type partitionEnd struct {
	partition *Partition
	end       int64
}

// A frame on the disk begins at a multiple of frameAlign, with this header, in little endian:
//
//	 0  magic
//	 4  CRC-32C of the journal's id, the file's number, the frame's place in the file, and all that follows
//	 8  length of the entries
//	12  how many there are
//	16  position of the first
//	24  what was durable when it was written
//	32  epoch
const (
	frameMagic  = 0x4d524653 // "SFRM"
	frameHeader = 40
	frameAlign  = 8
)

// largestFrame is more than any frame has: one that isn't closed yet, and an Append.
const largestFrame = maxFrame + maxAppend + frameHeader

func (f *frame) end() Position  { return f.first + Position(f.entries) }
func (f *frame) fileEnd() int64 { return f.at + align(int64(len(f.buf))) }
func align(n int64) int64       { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// wait returns a channel that is closed once the frame is settled.
func (f *frame) wait() <-chan struct{} {
	if f.settled == nil {
		f.settled = make(chan struct{})
	}
	return f.settled
}

// touch remembers the partition's end, to become durable with the frame.
func (f *frame) touch(p *Partition) {
	if p.open != f {
		p.open, p.openAt = f, len(f.ends)
		f.ends = append(f.ends, partitionEnd{partition: p})
	}
	f.ends[p.openAt].end = p.end[Appended]
}

// frameMemory is how much memory is allocated at least: several frames use it up, one behind the other. It is freed when
// nobody has a record of any of them.
const frameMemory = 32 << 10

// rest returns the memory behind a frame that nothing is added to any more, or, if that has no room for so many bytes, new
// memory. A frame that is nil has none.
func (f *frame) rest(size int) []byte {
	if f != nil && cap(f.buf)-len(f.buf) >= size {
		return f.buf[len(f.buf):]
	}
	return make([]byte, 0, max(size, frameMemory))
}

// reserve sees to it that there is room for an entry of a size. Who reads a frame that moves goes on where it was.
func (f *frame) reserve(size int) {
	if cap(f.buf)-len(f.buf) < size {
		f.buf = append(make([]byte, 0, max(len(f.buf)+size, 2*len(f.buf), frameMemory)), f.buf...)
	}
}

// forget lets go of what only the way to the disk needs.
func (f *frame) forget() {
	for _, e := range f.ends {
		if e.partition.open == f {
			e.partition.open = nil
		}
	}
	f.ends, f.commits = nil, nil
}

// frameHead is what the header of a frame says.
type frameHead struct {
	crc, length, entries uint32
	first, durable       Position
	epoch                uint64
}

func (h *frameHead) end() Position { return h.first + Position(h.entries) }
func (h *frameHead) size() int64   { return frameHeader + int64(h.length) }

// finish writes the header.
func (f *frame) finish(id [16]byte, durable Position, epoch uint64) {
	b := f.buf
	binary.LittleEndian.PutUint32(b, frameMagic)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-frameHeader))
	binary.LittleEndian.PutUint32(b[12:], f.entries)
	binary.LittleEndian.PutUint64(b[16:], uint64(f.first))
	binary.LittleEndian.PutUint64(b[24:], uint64(durable))
	binary.LittleEndian.PutUint64(b[32:], epoch)
	binary.LittleEndian.PutUint32(b[4:], frameChecksum(id, f.tail.number, f.at, b))
}

// readFrame returns the header of the frame that b begins with and the frame itself, false if there is no valid one. It
// belongs at a place of the file of a number.
func readFrame(id [16]byte, number uint64, at int64, b []byte) (frameHead, []byte, bool) {
	if len(b) < frameHeader || binary.LittleEndian.Uint32(b) != frameMagic {
		return frameHead{}, nil, false
	}
	h := frameHead{
		crc:     binary.LittleEndian.Uint32(b[4:]),
		length:  binary.LittleEndian.Uint32(b[8:]),
		entries: binary.LittleEndian.Uint32(b[12:]),
		first:   Position(binary.LittleEndian.Uint64(b[16:])),
		durable: Position(binary.LittleEndian.Uint64(b[24:])),
		epoch:   binary.LittleEndian.Uint64(b[32:]),
	}
	if h.size() > int64(len(b)) {
		return frameHead{}, nil, false
	}
	b = b[:h.size():h.size()]
	return h, b, h.crc == frameChecksum(id, number, at, b)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameChecksum is of a frame in its place, so that it isn't valid in another one.
func frameChecksum(id [16]byte, number uint64, at int64, b []byte) uint32 {
	var place [32]byte
	copy(place[:], id[:])
	binary.LittleEndian.PutUint64(place[16:], number)
	binary.LittleEndian.PutUint64(place[24:], uint64(at))
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, b[8:])
}

// eachEntry calls each with the entries of a frame, and where each begins in it.
func eachEntry(frame []byte, each func(at int64, kind entryKind, body []byte) error) error {
	rest := frame[frameHeader:]
	for len(rest) > 0 {
		at := int64(len(frame) - len(rest))
		kind, body, next, err := cutEntry(rest)
		if err != nil {
			return err
		}
		if err := each(at, kind, body); err != nil {
			return err
		}
		rest = next
	}
	return nil
}
