package journal

import (
	"fmt"
	"sort"
)

// run is where the records of a partition are in one tail file. Their offsets have no gaps.
type run struct {
	tail  *tailFile
	first int64    // the offset of the first
	at    []uint32 // where each entry begins in the file; what is there doesn't change
}

func (r *run) end() int64 { return r.first + int64(len(r.at)) }

// index adds a record, as it is appended or read, that is at a place of a file.
func (p *Partition) index(t *tailFile, at int64) {
	if n := len(p.runs); n == 0 || p.runs[n-1].tail != t {
		p.runs = append(p.runs, &run{tail: t, first: p.end[Appended]})
	}
	r := p.runs[len(p.runs)-1]
	r.at = append(r.at, uint32(at))
	p.end[Appended]++
}

// span is where the next records of a partition are: in one frame of a tail file, or in the archive.
type span struct {
	first int64    // offset
	at    []uint32 // where the entries begin in the file; none: the horizon ends here
	base  int64    // where the frame begins in the file
	buf   []byte   // the frame; nil: it has to be loaded
	more  bool     // the horizon shows records behind these

	tail *tailFile // what to load
	slot int
	end  int64

	sealed archive // not nil: there, up to before; it is retained
	before int64
}

// locate returns where the records from an offset on are. The mutex is held.
func (p *Partition) locate(from int64, h Horizon) (span, error) {
	switch {
	case from < 0 || from > p.end[Appended]:
		return span{}, fmt.Errorf("offset %d: %w: there are 0 to %d", from, ErrOutOfRange, p.end[Appended])
	case from >= p.end[h]:
		return span{}, p.j.readable()
	case p.j.closing:
		return span{}, ErrClosed
	case from < p.unsealed:
		return span{first: from, before: p.unsealed, sealed: p.j.retainArchive()}, nil
	}
	r := p.runOf(from)
	s := r.locate(from, min(r.end(), p.end[h]))
	s.more = s.first+int64(len(s.at)) < p.end[h]
	return s, nil
}

// runOf returns the run that has an offset. It is looked for in the last one first, as most readers are there.
func (p *Partition) runOf(offset int64) *run {
	if last := p.runs[len(p.runs)-1]; offset >= last.first {
		return last
	}
	return p.runs[sort.Search(len(p.runs), func(i int) bool { return p.runs[i].end() > offset })]
}

// locate returns the records of the first frame that has some of those from one offset to before another.
func (r *run) locate(from, before int64) span {
	s := span{first: from, at: r.at[from-r.first : before-r.first], tail: r.tail}
	s.slot, s.base, s.end = r.tail.frameOf(s.at[0])
	if f := r.tail.frames[s.slot].mem; f != nil {
		s.buf = f.buf
	} else {
		r.tail.readers++
	}
	s.at = s.at[:sort.Search(len(s.at), func(i int) bool { return int64(s.at[i]) >= s.end })]
	return s
}

// frameOf returns the frame that has a byte of the file: which it is, where it begins, and the end of its space.
func (t *tailFile) frameOf(at uint32) (slot int, begin, end int64) {
	slot = len(t.frames) - 1 // where most readers are
	if t.frames[slot].at > at {
		slot = sort.Search(slot, func(i int) bool { return t.frames[i].at > at }) - 1
	}
	end = t.end
	if slot+1 < len(t.frames) {
		end = int64(t.frames[slot+1].at)
	} else if f := t.frames[slot].mem; f != nil {
		end = f.fileEnd()
	}
	return slot, int64(t.frames[slot].at), end
}

// retainArchive returns the archive, which the caller releases, or nil. The mutex is held.
func (j *Journal) retainArchive() archive {
	if j.archive != nil {
		j.archive.retain()
	}
	return j.archive
}

// load sees to it that the frame is in memory.
func (s *span) load(j *Journal) error {
	if s.buf != nil {
		return nil
	}
	f, err := j.load(s.tail, s.slot, s.base, s.end)
	if err == nil {
		s.buf = f.buf
	}
	return err
}

// record decodes the i-th record of the span.
func (s *span) record(i int) (Record, error) {
	_, body, _, err := cutEntry(s.buf[int64(s.at[i])-s.base:])
	if err != nil {
		return Record{}, err
	}
	return decodeRecord(body)
}
