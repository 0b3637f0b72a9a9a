package sealed

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// File is what a Reader needs of a file. A file of package files is one.
type File interface {
	io.ReaderAt
	Size() (int64, error)
	Name() string
	Close() error
}

// Reader reads a file. Its methods may be called at once, but for Close.
type Reader struct {
	file    File
	cache   *Cache
	meta    Meta
	size    int64
	seed    seed
	footer  footer
	entries []entry // in order of partitions; never changed
}

// Open reads the header, the footer and the directory of a file. The file is the Reader's from then on, whether that went
// well or not: it is closed by the Reader.
func Open(f File, c *Cache) (*Reader, error) {
	r := &Reader{file: f, cache: c}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func (r *Reader) open() (err error) {
	if r.size, err = r.file.Size(); err != nil {
		return fmt.Errorf("ask for the size of %s: %w", r.file.Name(), err)
	}
	if r.size < headerSize+footerSize {
		return r.damage(r.size, "the file is too short")
	}
	header, err := r.readAt(0, headerSize)
	if err != nil {
		return err
	}
	if r.meta, err = decodeMeta(header); err != nil {
		return r.damage(0, "%v", err)
	}
	r.seed = seedOf(header)
	return r.readDirectory()
}

func (r *Reader) readDirectory() error {
	at := r.size - footerSize
	b, err := r.readAt(at, footerSize)
	if err != nil {
		return err
	}
	if r.footer, err = decodeFooter(b, r.seed, at); err != nil {
		return r.damage(at, "%v", err)
	}
	f := r.footer
	if b, err = r.readAt(f.directory, f.size); err != nil {
		return err
	}
	if r.seed.sum(f.directory, b) != f.crc {
		return r.damage(f.directory, "the CRC of the directory is wrong")
	}
	if r.entries, err = decodeDirectory(b, f.directory); err != nil {
		return r.damage(f.directory, "%v", err)
	}
	return nil
}

// Close closes the file. Nobody may be reading.
func (r *Reader) Close() error {
	r.cache.forget(r)
	return r.file.Close()
}

// Meta is what the file says of itself.
func (r *Reader) Meta() Meta { return r.meta }

// Size is how many bytes the file has.
func (r *Reader) Size() int64 { return r.size }

// Name is the name that the file was opened by.
func (r *Reader) Name() string { return r.file.Name() }

// Extents returns what the file has, in order of partitions.
func (r *Reader) Extents() []Extent {
	all := make([]Extent, len(r.entries))
	for i, e := range r.entries {
		all[i] = e.Extent
	}
	return all
}

// Extent returns what the file has of a partition, and false if it has nothing of it.
func (r *Reader) Extent(partition uint32) (Extent, bool) {
	if e := r.entry(partition); e != nil {
		return e.Extent, true
	}
	return Extent{}, false
}

func (r *Reader) entry(partition uint32) *entry {
	i := sort.Search(len(r.entries), func(i int) bool { return r.entries[i].Partition >= partition })
	if i == len(r.entries) || r.entries[i].Partition != partition {
		return nil
	}
	return &r.entries[i]
}

// Read returns the first record of a partition at an offset or after it, and those that follow it in the same block: all
// of a partition is read by going on behind the last one. It returns io.EOF when there are no more. The data of records is not to be
// changed and may be kept; it keeps its block in memory.
func (r *Reader) Read(partition uint32, offset int64) ([]Record, error) {
	e := r.entry(partition)
	if e == nil || offset > e.Last {
		return nil, io.EOF
	}
	refs, err := r.list(e)
	if err != nil {
		return nil, err
	}
	i := sort.Search(len(refs), func(i int) bool { return refs[i].first > offset })
	for i = max(i-1, 0); i < len(refs); i++ {
		rs, err := r.block(e, refs[i])
		if err != nil {
			return nil, err
		}
		if rs = from(rs, func(r Record) bool { return r.Offset >= offset }); len(rs) > 0 {
			return rs, nil
		}
	}
	return nil, r.damage(e.list, "offset %d of partition %d is in no block", e.Last, partition)
}

// FindTime returns the first record of a partition that is not older than a time in ms, and false if all are.
func (r *Reader) FindTime(partition uint32, ms int64) (Record, bool, error) {
	e := r.entry(partition)
	if e == nil || ms > e.Until {
		return Record{}, false, nil
	}
	refs, err := r.list(e)
	if err != nil {
		return Record{}, false, err
	}
	i := sort.Search(len(refs), func(i int) bool { return refs[i].time >= ms })
	for i = max(i-1, 0); i < len(refs); i++ {
		rs, err := r.block(e, refs[i])
		if err != nil {
			return Record{}, false, err
		}
		if rs = from(rs, func(r Record) bool { return r.Time >= ms }); len(rs) > 0 {
			return rs[0], true, nil
		}
	}
	return Record{}, false, r.damage(e.list, "%d ms of partition %d is in no block", e.Until, partition)
}

// from returns the records from the first one on that is far enough.
func from(rs []Record, far func(Record) bool) []Record {
	return rs[sort.Search(len(rs), func(i int) bool { return far(rs[i]) }):]
}

// list returns where the blocks of a partition are.
func (r *Reader) list(e *entry) ([]blockRef, error) {
	key := cacheKey{r, e.Partition}
	if refs, ok := r.cache.get(key); ok {
		return refs, nil
	}
	refs, err := r.readList(e)
	if err == nil {
		r.cache.put(key, refs)
	}
	return refs, err
}

func (r *Reader) readList(e *entry) ([]blockRef, error) {
	b, err := r.readAt(e.list, int64(e.size))
	if err != nil {
		return nil, err
	}
	if r.seed.sum(e.list, b) != e.crc {
		return nil, r.damage(e.list, "the CRC of the list of partition %d is wrong", e.Partition)
	}
	refs, err := decodeList(b, e.Blocks, r.entries[0].list)
	if err != nil {
		return nil, r.damage(e.list, "partition %d: %v", e.Partition, err)
	}
	if refs[0].first != e.First || refs[0].time != e.Since {
		return nil, r.damage(e.list, "partition %d does not begin as the directory says", e.Partition)
	}
	return slices.Clip(refs), nil
}

// block reads the records of a block.
func (r *Reader) block(e *entry, ref blockRef) ([]Record, error) {
	b, err := r.readAt(ref.position, int64(ref.size))
	if err != nil {
		return nil, err
	}
	h, raw, err := decodeBlock(b, r.seed, ref.position)
	if err != nil {
		return nil, r.damage(ref.position, "partition %d, offset %d: %v", e.Partition, ref.first, err)
	}
	if h.partition != e.Partition || h.first != ref.first || h.time != ref.time {
		return nil, r.damage(ref.position, "the block of partition %d, offset %d is not that of partition %d, offset %d", h.partition, h.first, e.Partition, ref.first)
	}
	rs, err := h.records(raw)
	if err != nil {
		return nil, r.damage(ref.position, "partition %d, offset %d: %v", e.Partition, ref.first, err)
	}
	return rs, nil
}
