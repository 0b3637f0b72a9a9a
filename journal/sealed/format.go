package sealed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Format is the number of the format that is written. Files of another one are refused.
const Format = 1

const (
	headerSize = 40
	footerSize = 40
	entrySize  = 76 // of a partition in the directory
)

var (
	headMagic = [8]byte{'s', 't', 'k', 'f', 's', 'e', 'a', 'l'}
	footMagic = [8]byte{'s', 't', 'k', 'f', 's', 'e', 'n', 'd'}
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// Meta is what a file says of itself in its header.
type Meta struct {
	Journal [16]byte
	Number  uint64 // of the file
}

// header: magic 8, format 4, CRC of all the rest 4, journal 16, number 8.
func (m Meta) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, headMagic[:])
	le.PutUint32(b[8:], Format)
	copy(b[16:], m.Journal[:])
	le.PutUint64(b[32:], m.Number)
	le.PutUint32(b[12:], headerCRC(b))
	return b
}

func headerCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:])
}

func decodeMeta(b []byte) (m Meta, err error) {
	if err := checkMagic(b[:8], headMagic, le.Uint32(b[8:])); err != nil {
		return m, err
	}
	if headerCRC(b) != le.Uint32(b[12:]) {
		return m, errors.New("the CRC of the header is wrong")
	}
	copy(m.Journal[:], b[16:])
	m.Number = le.Uint64(b[32:])
	return m, nil
}

func checkMagic(b []byte, magic [8]byte, format uint32) error {
	if [8]byte(b) != magic {
		return errors.New("this is no sealed file")
	}
	if format != Format {
		return fmt.Errorf("the format is number %d, this program reads %d", format, Format)
	}
	return nil
}

// seed is what each CRC of a file begins with, so that it covers which file it is of.
type seed uint32

func seedOf(header []byte) seed { return seed(crc32.Checksum(header, castagnoli)) }

// sum covers a part of the file and the position that it is at.
func (s seed) sum(position int64, parts ...[]byte) uint32 {
	var at [8]byte
	le.PutUint64(at[:], uint64(position))
	crc := crc32.Update(uint32(s), castagnoli, at[:])
	for _, p := range parts {
		crc = crc32.Update(crc, castagnoli, p)
	}
	return crc
}

// footer: position of the directory 8, its size 8, its CRC 4, format 4, CRC of the 24 bytes before 4, zero 4, magic 8.
type footer struct {
	directory, size int64
	crc             uint32
}

func (f footer) encode(s seed, position int64) []byte {
	b := make([]byte, footerSize)
	le.PutUint64(b, uint64(f.directory))
	le.PutUint64(b[8:], uint64(f.size))
	le.PutUint32(b[16:], f.crc)
	le.PutUint32(b[20:], Format)
	le.PutUint32(b[24:], s.sum(position, b[:24]))
	copy(b[32:], footMagic[:])
	return b
}

func decodeFooter(b []byte, s seed, position int64) (f footer, err error) {
	if err := checkMagic(b[32:], footMagic, le.Uint32(b[20:])); err != nil {
		return f, err
	}
	if s.sum(position, b[:24]) != le.Uint32(b[24:]) || le.Uint32(b[28:]) != 0 {
		return f, errors.New("the CRC of the footer is wrong")
	}
	f = footer{int64(le.Uint64(b)), int64(le.Uint64(b[8:])), le.Uint32(b[16:])}
	if f.directory < headerSize || f.size < 0 || f.size%entrySize != 0 || f.directory != position-f.size {
		return f, fmt.Errorf("the directory can't be %d bytes at %d", f.size, f.directory)
	}
	return f, nil
}

// Extent is what a file has of one partition.
type Extent struct {
	Partition   uint32
	Blocks      uint32
	Records     int64 // at least 1
	Bytes       int64 // of the records, before they were compressed
	First, Last int64 // offsets
	Since       int64 // time of the first record, in ms
	Until       int64 // time of the last record, in ms
}

// entry is a partition in the directory, in this order: partition 4, CRC of the list 4, position of the list 8, its size 4,
// blocks 4, records 8, bytes 8, first and last offset 8 each, since and until 8 each, zero 4.
type entry struct {
	Extent
	list int64
	size uint32
	crc  uint32
}

func (e entry) append(b []byte) []byte {
	b = le.AppendUint32(b, e.Partition)
	b = le.AppendUint32(b, e.crc)
	b = le.AppendUint64(b, uint64(e.list))
	b = le.AppendUint32(b, e.size)
	b = le.AppendUint32(b, e.Blocks)
	for _, v := range []int64{e.Records, e.Bytes, e.First, e.Last, e.Since, e.Until} {
		b = le.AppendUint64(b, uint64(v))
	}
	return le.AppendUint32(b, 0)
}

func decodeEntry(b []byte) entry {
	v := func(i int) int64 { return int64(le.Uint64(b[24+8*i:])) }
	return entry{
		Extent: Extent{Partition: le.Uint32(b), Blocks: le.Uint32(b[20:]), Records: v(0), Bytes: v(1), First: v(2), Last: v(3), Since: v(4), Until: v(5)},
		crc:    le.Uint32(b[4:]), list: int64(le.Uint64(b[8:])), size: le.Uint32(b[16:]),
	}
}

// decodeDirectory returns the partitions in order of their numbers. Their lists lie one behind the other, up to the end.
func decodeDirectory(b []byte, end int64) ([]entry, error) {
	entries := make([]entry, 0, len(b)/entrySize)
	for ; len(b) > 0; b = b[entrySize:] {
		e := decodeEntry(b)
		if n := len(entries); n > 0 && (e.Partition <= entries[n-1].Partition || e.list != entries[n-1].list+int64(entries[n-1].size)) {
			return nil, fmt.Errorf("partition %d does not follow partition %d", e.Partition, entries[n-1].Partition)
		}
		if e.list < headerSize || e.list > end-int64(e.size) || e.Blocks == 0 || e.Records < int64(e.Blocks) || e.First < 0 || e.First > e.Last || e.Since > e.Until {
			return nil, fmt.Errorf("partition %d can't be as it says", e.Partition)
		}
		entries = append(entries, e)
	}
	if n := len(entries); n > 0 && entries[n-1].list+int64(entries[n-1].size) != end {
		return nil, errors.New("the lists do not end where the directory begins")
	}
	return entries, nil
}
