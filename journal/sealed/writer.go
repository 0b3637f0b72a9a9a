package sealed

import (
	"errors"
	"fmt"
	"io"
)

// Writer writes a file. The file counts when [Writer.Finish] has returned nil and the file was synced; one that was left
// before is no sealed file, and [Open] says so. It is for one goroutine.
type Writer struct {
	file     io.WriterAt
	seed     seed
	position int64 // where the next bytes go
	err      error // the first one: after it the file is worth nothing

	raw     []byte      // the records of the block that is filled
	block   blockHeader // its partition, first offset and time
	count   int64       // its records
	current entry       // of the partition that is written
	blocks  []byte      // the list of that partition
	last    blockRef    // its last block
	entries []entry
	lists   [][]byte // of the partitions in entries, until they are written
}

// NewWriter begins a file, which must be empty.
func NewWriter(file io.WriterAt, m Meta) *Writer {
	w := &Writer{file: file}
	header := m.encode()
	w.seed = seedOf(header)
	w.write(header)
	return w
}

// Add adds a record. Records come partition by partition, partitions in order of their numbers; in a partition offsets rise and
// times do not fall. An error of the file is returned by this or a later call, and by all that follow.
func (w *Writer) Add(partition uint32, r Record) error {
	if err := w.admit(partition, r); err != nil {
		return err
	}
	if w.current.Records == 0 || w.current.Partition != partition {
		w.endPartition()
		w.current = entry{Extent: Extent{Partition: partition, First: r.Offset, Since: r.Time}}
	} else if len(w.raw) >= blockMin && len(w.raw)+len(r.Data) > blockMax {
		w.endBlock()
	}
	offset, time := w.current.Last, w.current.Until
	if w.count == 0 {
		offset, time = r.Offset, r.Time
		w.block = blockHeader{partition: partition, first: offset, time: time}
	}
	w.raw = appendRecord(w.raw, r, offset, time)
	w.count++
	w.current.Records++
	w.current.Bytes += int64(len(r.Data))
	w.current.Last, w.current.Until = r.Offset, r.Time
	return w.err
}

// admit refuses what the file can't hold. It leaves the file as it was.
func (w *Writer) admit(partition uint32, r Record) error {
	switch c := w.current; {
	case w.err != nil:
		return w.err
	case len(r.Data) > MaxData:
		return fmt.Errorf("seal partition %d: offset %d has %d bytes, more than %d", partition, r.Offset, len(r.Data), MaxData)
	case r.Offset < 0:
		return fmt.Errorf("seal partition %d: offset %d is negative", partition, r.Offset)
	case c.Records == 0 || partition > c.Partition:
		return nil
	case partition < c.Partition || r.Offset <= c.Last || r.Time < c.Until:
		return fmt.Errorf("seal partition %d: offset %d of %d ms comes after offset %d of %d ms of partition %d",
			partition, r.Offset, r.Time, c.Last, c.Until, c.Partition)
	}
	return nil
}

// Finish writes the index. The caller syncs the file then.
func (w *Writer) Finish() error {
	w.endPartition()
	var directory []byte
	for i, list := range w.lists {
		e := w.entries[i]
		e.list, e.size, e.crc = w.position, uint32(len(list)), w.seed.sum(w.position, list)
		directory = e.append(directory)
		w.write(list)
	}
	f := footer{directory: w.position, size: int64(len(directory)), crc: w.seed.sum(w.position, directory)}
	w.write(directory)
	w.write(f.encode(w.seed, w.position))
	err := w.err
	if err == nil {
		w.err = errors.New("the sealed file is finished")
	}
	return err
}

// Empty reports whether no record was added.
func (w *Writer) Empty() bool { return w.current.Records == 0 }

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.position }

func (w *Writer) endPartition() {
	if w.current.Records == 0 {
		return
	}
	w.endBlock()
	w.entries = append(w.entries, w.current)
	w.lists = append(w.lists, w.blocks)
	w.blocks, w.last = nil, blockRef{}
}

func (w *Writer) endBlock() {
	ref := blockRef{position: w.position, first: w.block.first, time: w.block.time}
	b := encodeBlock(w.block, w.raw, w.seed, w.position)
	ref.size = uint32(len(b))
	w.write(b)
	w.blocks = ref.append(w.blocks, w.last)
	w.last = ref
	w.current.Blocks++
	w.raw, w.count = w.raw[:0], 0
	if cap(w.raw) > 8*blockMax { // one huge record is no reason to keep its memory
		w.raw = nil
	}
}

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	if _, err := w.file.WriteAt(b, w.position); err != nil {
		w.err = fmt.Errorf("write a sealed file at byte %d: %w", w.position, err)
		return
	}
	w.position += int64(len(b))
}
