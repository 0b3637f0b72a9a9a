package broker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Whoever reads long logs of an embedded broker on the same machine need not have them sent: what was acknowledged is in
// the files, whole, and stays there. It is half of the work that is spared, and all of the server's.
//
// What isn't plain there is left to the server, which knows more: transactions, files that are gone because the topic is,
// and damage. So the errors are those that a client gets.

// readSegments calls each with the records of a partition from offset from on and before offset to, as far as the files have them
// plainly. next is where to go on. An error is ctx's or each's.
func readSegments(ctx context.Context, dir string, from, to int64, at kgo.Record, each func(*kgo.Record) error) (next int64, err error) {
	bases, err := basesOf(dir)
	if err != nil {
		return from, nil //nolint:nilerr // the server says what is the matter
	}
	first, found := slices.BinarySearch(bases, from)
	if !found {
		first--
	}
	r := segmentReader{record: at, next: from, to: to, each: each}
	for i := max(first, 0); i < len(bases) && bases[i] <= r.next && r.next < to; i++ {
		if done, err := r.read(ctx, segment{base: bases[i]}.file(dir)); done || err != nil {
			return r.next, err
		}
	}
	return r.next, nil
}

// basesOf returns the offsets that the files of a partition begin with, in order.
func basesOf(dir string) ([]int64, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, f := range files {
		name, is := strings.CutSuffix(f.Name(), segmentSuffix)
		if base, err := strconv.ParseInt(name, 10, 64); is && err == nil { // others aren't the server's
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases, nil
}

// segmentReader reads the files of a partition one after the other. It is for one goroutine.
type segmentReader struct {
	record kgo.Record // which each is given, over and over
	next   int64      // the offset to be read
	to     int64
	each   func(*kgo.Record) error
	names  []string // of the headers of the record before: nearly all have the same
	batch  []byte   // the one that is told, in memory that the next one has too
}

// segmentBuffer is how much of a file is read at a time.
const segmentBuffer = 256 << 10

// read reads a file. done is set when there is nothing more to be read, or nothing that is plain.
func (r *segmentReader) read(ctx context.Context, file string) (done bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return true, nil //nolint:nilerr // the server says what is the matter
	}
	defer f.Close() //nolint:errcheck // nothing was written
	in := bufio.NewReaderSize(f, segmentBuffer)
	for r.next < r.to {
		if err := ctx.Err(); err != nil {
			return true, err
		}
		there, err := r.readBatch(in)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return true, nil //nolint:nilerr // the server says what is the matter
		}
		if !there {
			continue
		}
		if plain, err := r.take(r.batch); !plain || err != nil {
			return true, err
		}
	}
	return true, nil
}

// largestBatch is more than any that the server takes, and less than what garbage claims to be.
const largestBatch = 64 << 20

var errBatch = errors.New("the batch is not whole")

// readBatch reads the next batch of a file. It isn't there if it was passed over because it ends before the offset to be read. The
// error is io.EOF behind the last one.
func (r *segmentReader) readBatch(in *bufio.Reader) (there bool, err error) {
	head, err := in.Peek(batchRecords)
	if err != nil {
		if len(head) > 0 {
			return false, errBatch
		}
		return false, err
	}
	size := int(binary.BigEndian.Uint32(head[batchLength:])) + batchLength + 4
	if size < batchRecords || size > largestBatch {
		return false, errBatch
	}
	if endOf(head) <= r.next {
		if _, err := in.Discard(size); err != nil {
			return false, errBatch
		}
		return false, nil
	}
	r.batch = slices.Grow(r.batch[:0], size)[:size]
	if _, err := io.ReadFull(in, r.batch); err != nil {
		return false, errBatch
	}
	if _, _, whole := cutBatch(r.batch); !whole {
		return false, errBatch
	}
	return true, nil
}

// endOf is the offset after a batch.
func endOf(batch []byte) int64 {
	return int64(binary.BigEndian.Uint64(batch)) + int64(binary.BigEndian.Uint32(batch[batchLastOffset:])) + 1
}

// take calls each with the records of a batch. plain is false if the next one is the server's to tell.
func (r *segmentReader) take(batch []byte) (plain bool, err error) {
	attributes := binary.BigEndian.Uint16(batch[batchAttributes:])
	base, records := int64(binary.BigEndian.Uint64(batch)), batch[batchRecords:]
	if attributes&(bitTransaction|bitControl) != 0 || base > r.next {
		return false, nil
	}
	if codec := kgo.CompressionCodecType(attributes & bitsCodec); codec != kgo.CodecNone {
		if records, err = decompressor.Decompress(records, codec); err != nil {
			return false, nil //nolint:nilerr // the server says what is the matter
		}
	}
	for range binary.BigEndian.Uint32(batch[batchCount:]) {
		one, rest, whole := cutRecord(records)
		if !whole {
			return false, nil
		}
		records = rest
		r.record.Offset, r.record.Timestamp = base+one.offset, timeOf(batch, attributes, one)
		if r.record.Offset < r.next || r.record.Offset >= r.to {
			continue
		}
		r.fill(one.body)
		if err := r.each(&r.record); err != nil {
			return true, err
		}
		r.next = r.record.Offset + 1
	}
	r.next = endOf(batch)
	return true, nil
}

// timeOf is when a record was taken in, or else when it was written.
func timeOf(batch []byte, attributes uint16, one record) time.Time {
	if attributes&bitLogAppendTime != 0 {
		return time.UnixMilli(int64(binary.BigEndian.Uint64(batch[batchMaxTime:])))
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(batch[batchFirstTime:])) + one.time)
}

// fill reads the key, the value and the headers of a record that cutRecord has found whole.
func (r *segmentReader) fill(body []byte) {
	_, body, _ = cutVarint(body) // the offset
	r.record.Key, body, _ = cutNullable(body)
	r.record.Value, body, _ = cutNullable(body)
	headers, body, _ := cutVarint(body)
	r.record.Headers = r.record.Headers[:0]
	for i := range int(headers) {
		var name, value []byte
		name, body, _ = cutSized(body)
		value, body, _ = cutNullable(body)
		r.record.Headers = append(r.record.Headers, kgo.RecordHeader{Key: r.name(i, name), Value: value})
	}
}

// name returns the name of header i, as the text that it was before if it is the same.
func (r *segmentReader) name(i int, name []byte) string {
	if i == len(r.names) {
		r.names = append(r.names, "")
	}
	if r.names[i] != string(name) {
		r.names[i] = string(name)
	}
	return r.names[i]
}

// partitionDir is where the embedded broker under data has a partition.
func partitionDir(data, topic string, partition int32) string {
	return filepath.Join(data, "partitions", topic+"-"+strconv.Itoa(int(partition)))
}
