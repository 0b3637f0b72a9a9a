package broker

import (
	"bytes"
	"encoding/binary"
)

// The server keeps an entry in memory for each batch of its log, for ever. A few hundred messages a second come a record at a time, so
// that nearly each is a batch of its own, and the memory would grow with them. So small batches are merged
// into larger ones before the server sees them, in the files that it writes no more; merger.go says how that survives a crash.
//
// A reader gets the same from the merged batch: each record's offset, time, key, value and headers, and the leader's epoch. What it can't get
// any more is who produced it: the merged batch says nobody. The server asks that of no batch on the disk: it knows repeats
// by what it holds in memory and writes down when it stops.

const (
	// mergedBytes is how large batches become; whoever wants one record is sent the whole batch.
	mergedBytes = 32 << 10
	// mergedRecords is how many records go into one.
	mergedRecords = 1000
	// mergedRecord is by how much a record may grow: its distances to the batch's first time and offset need more bytes.
	mergedRecord = 8
)

// head is what a batch says of all its records.
type head struct {
	offset, first, last int64 // the first offset, the first time and the latest
	span                int64 // the distance to its last offset
	epoch               int32
	attributes          uint16
	count               int32
	bytes               int // of the records
}

// headOf reads the head of a whole batch.
func headOf(raw []byte) head {
	return head{
		offset:     int64(binary.BigEndian.Uint64(raw)),
		first:      int64(binary.BigEndian.Uint64(raw[batchFirstTime:])),
		last:       int64(binary.BigEndian.Uint64(raw[batchMaxTime:])),
		span:       int64(int32(binary.BigEndian.Uint32(raw[batchLastOffset:]))),
		epoch:      int32(binary.BigEndian.Uint32(raw[batchEpoch:])),
		attributes: binary.BigEndian.Uint16(raw[batchAttributes:]),
		count:      int32(binary.BigEndian.Uint32(raw[batchCount:])),
		bytes:      len(raw) - batchRecords,
	}
}

// plain reports whether the batch is as nearly all are: not compressed, in no transaction, no marker of one, without gaps, and all of
// its records of one time, as stamp makes them. Only such are merged; a merged one is of several times, and done with.
func (h head) plain() bool {
	return h.attributes == 0 && h.first == h.last && h.first >= 0 && h.count > 0 && int64(h.count) == h.span+1
}

// run is batches that follow each other and become one.
type run struct {
	batches, records, bytes int
	epoch                   int32
	next                    int64 // offset
}

// add takes in a batch, or says that it doesn't go with the others.
func (r *run) add(h head) bool {
	bytes := r.bytes + h.bytes + mergedRecord*int(h.count)
	records := r.records + int(h.count)
	if !h.plain() || r.batches > 0 &&
		(h.epoch != r.epoch || h.offset != r.next || bytes > mergedBytes-batchRecords || records > mergedRecords) {
		return false
	}
	*r = run{r.batches + 1, records, bytes, h.epoch, h.offset + int64(h.count)}
	return true
}

// forecast counts what the batches of a file come to if they are merged.
type forecast struct {
	left int // batches
	run  run
}

func (f *forecast) add(h head) {
	if f.run.batches > 0 && f.run.add(h) {
		return
	}
	f.left++
	f.run = run{}
	f.run.add(h) // or it stays alone
}

// merge returns the batches of a file with the small ones merged.
func merge(file []byte) []byte {
	out := make([]byte, 0, len(file))
	var r run
	begin, rest := file, file // begin is where the run begins, rest what comes behind it
	flush := func() {
		out = append(out, join(begin[:len(begin)-len(rest)], r.batches)...)
		begin, r = rest, run{}
	}
	for {
		raw, after, ok := cutBatch(rest)
		if !ok {
			break
		}
		if h := headOf(raw); r.batches == 0 || !r.add(h) {
			flush()
			r.add(h) // or it stays alone
		}
		rest = after
	}
	flush()
	return append(out, rest...)
}

// join returns a run of batches as one. Where that can't be, or would be nothing else, they are returned as they are.
func join(batches []byte, n int) []byte {
	if n < 2 {
		return batches
	}
	first := headOf(batches)
	out := bytes.Clone(batches[:batchRecords])
	count, latest := 0, first.last
	for rest := batches; len(rest) > 0; {
		raw, after, _ := cutBatch(rest)
		h := headOf(raw)
		if spread, ok := inspect(raw[batchRecords:], int(h.count)); spread || !ok {
			return batches
		}
		for records := raw[batchRecords:]; len(records) > 0; count++ {
			var r record
			r, records, _ = cutRecord(records)
			out = appendRecord(out, r.attributes, h.first-first.first, int64(count), r.fields)
		}
		latest, rest = max(latest, h.last), after
	}
	return finishMerged(out, count, latest)
}

func appendRecord(out []byte, attributes byte, time, offset int64, fields []byte) []byte {
	var distances [2 * binary.MaxVarintLen64]byte
	d := binary.AppendVarint(binary.AppendVarint(distances[:0], time), offset)
	out = binary.AppendVarint(out, int64(1+len(d)+len(fields)))
	out = append(out, attributes)
	return append(append(out, d...), fields...)
}

// finishMerged writes the head of a batch whose records are from offset 0 to count. Its first offset, first time and epoch stand there.
func finishMerged(b []byte, count int, latest int64) []byte {
	binary.BigEndian.PutUint32(b[batchLength:], uint32(len(b)-batchLength-4))
	binary.BigEndian.PutUint32(b[batchLastOffset:], uint32(count-1))
	binary.BigEndian.PutUint64(b[batchMaxTime:], uint64(latest))
	for at := batchProducer; at < batchCount; at++ {
		b[at] = 0xff // no producer, no epoch of one, no number of its
	}
	binary.BigEndian.PutUint32(b[batchCount:], uint32(count))
	binary.BigEndian.PutUint32(b[batchCRC:], checksum(b))
	return b
}

// sameRecords reports whether readers get the same from two files, to the last record.
func sameRecords(a, b []byte) bool {
	left, right := walk{file: a}, walk{file: b}
	for {
		x, moreX := left.next()
		y, moreY := right.next()
		if moreX != moreY || !x.equal(y) {
			return false
		}
		if !moreX {
			return len(left.file) == 0 && len(right.file) == 0 // neither ends before its end
		}
	}
}

// walk goes through the records of a file. It has nothing of what merges them but the reading of a record.
type walk struct {
	file, records []byte
	head          head
}

// sight is a record as a reader sees it.
type sight struct {
	offset, time int64
	epoch        int32
	attributes   byte
	fields       []byte
	batch        []byte // if it isn't plain: all of it, which has to stay as it is
}

func (s sight) equal(o sight) bool {
	return s.offset == o.offset && s.time == o.time && s.epoch == o.epoch && s.attributes == o.attributes &&
		bytes.Equal(s.fields, o.fields) && bytes.Equal(s.batch, o.batch)
}

func (w *walk) next() (sight, bool) {
	if len(w.records) == 0 {
		raw, rest, ok := cutBatch(w.file)
		if !ok {
			return sight{}, false
		}
		w.file, w.head, w.records = rest, headOf(raw), raw[batchRecords:]
		if _, whole := inspect(w.records, int(w.head.count)); w.head.attributes != 0 || !whole {
			w.records = nil
			return sight{batch: raw}, true
		}
	}
	r, rest, ok := cutRecord(w.records)
	w.records = rest
	return sight{w.head.offset + r.offset, w.head.first + r.time, w.head.epoch, r.attributes, r.fields, nil}, ok
}
