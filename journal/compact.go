package journal

import (
	"context"
	"crypto/sha256"
	"math"
	"time"
	"weak"

	"stockflow/journal/sealed"
)

// Compaction keeps the newest row of each key. It takes files of tables from the oldest on, as many as hold nothing that
// is younger than a day or that a follower here has still to read, and writes one file instead. No key is twice in that file, so
// the next compaction has to remember the keys of newer files only.
//
// A tombstone stays when the rows that it deletes go, and goes the next time. So whoever has read such a row finds the
// tombstone, even if files are exchanged while it reads.
const (
	compactionDelay = 24 * time.Hour
	compactionBytes = 1 << 20 // of newer files: for less it isn't worth it
	compactionKeys  = 1 << 18 // records of one partition in newer files that are taken at once, if they are not in one file
)

// compaction is the work on some files.
type compaction struct {
	files     []*sealedFile // the compacted ones first
	compacted int           // how many those are
	followed  func(partition uint32) bool
	dropped   map[uint32]int64 // the highest offset of a tombstone that went, by partition
}

// toCompact returns the files of tables that are to become one, none if it isn't worth it: what is new has to be as large as
// what was compacted before, so that each row is written again but a few times, and worth it. passed reports whether a file has
// nothing that has to stay as it is.
func toCompact(all []*sealedFile, worth int64, passed func(*sealedFile) bool) (files []*sealedFile, compacted int) {
	var old, newer int64
	for _, f := range all {
		if !f.Tables {
			continue
		}
		if !passed(f) {
			break
		}
		files = append(files, f)
		if f.Compacted {
			compacted++
			old += f.reader.Size()
		} else {
			newer += f.reader.Size()
		}
	}
	if newer == 0 || newer < max(old, worth) {
		return nil, 0
	}
	return files[:compacted+withFewKeys(files[compacted:], compactionKeys)], compacted
}

// withFewKeys returns how many of the files, one at least, don't have more than a number of records of a partition.
func withFewKeys(files []*sealedFile, most int64) int {
	records := make(map[uint32]int64)
	for i, f := range files {
		for _, e := range f.reader.Extents() {
			records[e.Partition] += e.Records
			if i > 0 && records[e.Partition] > most {
				return i
			}
		}
	}
	return len(files)
}

// filter leaves out rows that have a newer one of the same key, and tombstones whose rows went before; but the last record of
// the partition stays, as readers wait for it. A partition that nobody follows keeps its tombstones, for whoever follows
// it next may have the row that one deletes.
func (c *compaction) filter(ctx context.Context, partition uint32) (func(sealed.Record) (bool, error), error) {
	newest, err := c.newest(ctx, partition)
	if err != nil {
		return nil, err
	}
	last, followed := lastOf(c.files, partition), c.followed(partition)
	compacted := lastOf(c.files[:c.compacted], partition)
	return func(r sealed.Record) (bool, error) {
		row, err := rowOf(r.Data)
		if err != nil || r.Offset == last || !row.keyed {
			return true, err
		}
		if offset, ok := newest[row.key]; ok && offset > r.Offset {
			return false, nil
		}
		if row.tombstone && followed && r.Offset <= compacted {
			c.dropped[partition] = r.Offset
			return false, nil
		}
		return true, nil
	}, nil
}

// newest returns the offset of the newest row of each key that the newer files have.
func (c *compaction) newest(ctx context.Context, partition uint32) (map[[16]byte]int64, error) {
	newest := make(map[[16]byte]int64)
	for _, f := range c.files[c.compacted:] {
		err := f.each(ctx, partition, func(r sealed.Record) error {
			row, err := rowOf(r.Data)
			if row.keyed {
				newest[row.key] = r.Offset
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return newest, nil
}

// lastOf returns the offset of the last record of a partition in some files, -1 if they have none.
func lastOf(files []*sealedFile, partition uint32) int64 {
	last := int64(-1)
	for _, f := range files {
		if e, ok := f.reader.Extent(partition); ok {
			last = e.Last
		}
	}
	return last
}

// row is what compaction has to know of a record. Keys are told apart by a hash that no two keys share.
type row struct {
	keyed, tombstone bool
	key              [16]byte
}

func rowOf(data []byte) (row, error) {
	d := decoder{b: data}
	flags := d.byte()
	if flags&hasKey == 0 {
		return row{}, d.err()
	}
	hash := sha256.Sum256(d.bytes())
	return row{keyed: true, tombstone: flags&hasValue == 0, key: [16]byte(hash[:16])}, d.err()
}

// followers are the cursors of a partition of a table. The journal's mutex guards them.
type followers []weak.Pointer[Cursor]

// follow remembers a cursor, so that compaction leaves what it has still to read.
func (p *Partition) follow(c *Cursor) {
	if p.topic.Kind != Table {
		return
	}
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	if n := len(p.followers); n >= 16 && n&(n-1) == 0 {
		p.slowest()
	}
	p.followers = append(p.followers, weak.Make(c))
}

// leave says that the cursor is not used any more, so that compaction doesn't wait until its memory is collected.
func (c *Cursor) leave() { c.passed.Store(math.MaxInt64) }

// slowest returns the lowest offset that a cursor has still to read, and whether there is a cursor. One that nobody has any
// more is forgotten some time later. The mutex is held.
func (p *Partition) slowest() (offset int64, followed bool) {
	offset = math.MaxInt64
	alive := p.followers[:0]
	for _, w := range p.followers {
		if c := w.Value(); c != nil {
			alive = append(alive, w)
			offset = min(offset, c.passed.Load())
		}
	}
	clear(p.followers[len(alive):])
	p.followers = alive
	return offset, len(alive) > 0
}

// passed reports whether all records of a file are older than a day, and every cursor has read them.
func (j *Journal) passed(f *sealedFile) bool {
	now := j.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range f.reader.Extents() {
		if e.Until > now-compactionDelay.Milliseconds() {
			return false
		}
		if slowest, _ := j.partitions[e.Partition].slowest(); slowest <= e.Last {
			return false
		}
	}
	return true
}

func (j *Journal) followed(partition uint32) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, followed := j.partitions[partition].slowest()
	return followed
}
