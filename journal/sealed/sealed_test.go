package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// memory is a file in memory. It counts what is read.
type memory struct {
	b     []byte
	reads int
	fails error
}

func (m *memory) ReadAt(b []byte, off int64) (int, error) {
	if m.reads++; m.fails != nil {
		return 0, m.fails
	}
	return bytes.NewReader(m.b).ReadAt(b, off)
}

func (m *memory) WriteAt(b []byte, off int64) (int, error) {
	if m.fails != nil {
		return 0, m.fails
	}
	m.b = append(m.b[:off], b...)
	return len(b), nil
}

func (m *memory) Size() (int64, error) { return int64(len(m.b)), nil }
func (m *memory) Name() string         { return "sealed-7" }
func (m *memory) Close() error         { return nil }

var testMeta = Meta{Journal: [16]byte{1, 2, 3}, Number: 7}

// contents are the records of each partition.
type contents map[uint32][]Record

func (c contents) partitions() (all []uint32) {
	for p := range c {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

func write(t testing.TB, c contents) *memory {
	t.Helper()
	m := &memory{}
	w := NewWriter(m, testMeta)
	for _, p := range c.partitions() {
		for _, r := range c[p] {
			if err := w.Add(p, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Finish(); err != nil || w.Size() != int64(len(m.b)) {
		t.Fatalf("wrote %d of %d bytes: %v", w.Size(), len(m.b), err)
	}
	return m
}

func open(t testing.TB, m *memory) *Reader {
	t.Helper()
	r, err := Open(m, NewCache(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// read returns all records of a partition from an offset on.
func read(r *Reader, partition uint32, offset int64) (all []Record, err error) {
	for {
		rs, err := r.Read(partition, offset)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, rs...)
		offset = rs[len(rs)-1].Offset + 1
	}
}

// anyContents draws partitions whose offsets have gaps, whose times stand still now and then, and with records of all sizes.
func anyContents(t *rapid.T) contents {
	c := contents{}
	for range rapid.IntRange(0, 4).Draw(t, "partitions") {
		r := Record{Offset: rapid.Int64Range(-1, 1<<40).Draw(t, "first"), Time: rapid.Int64Range(0, 1<<42).Draw(t, "since")}
		var rs []Record
		for range rapid.IntRange(1, 60).Draw(t, "records") {
			r.Offset += rapid.SampledFrom([]int64{1, 1, 1, 2, 1000}).Draw(t, "gap")
			r.Time += rapid.SampledFrom([]int64{0, 0, 1, 5000}).Draw(t, "later")
			size := rapid.SampledFrom([]int{0, 1, 200, 9000, 70_000, 300_000}).Draw(t, "size")
			r.Data = bytes.Repeat([]byte{byte(r.Offset), byte(len(rs))}, size/2+1)[:size]
			rs = append(rs, r)
		}
		c[rapid.Uint32Range(0, 9).Draw(t, "partition")] = rs
	}
	return c
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := anyContents(rt)
		r := open(t, write(t, c))
		if r.Meta() != testMeta {
			rt.Fatalf("the file says %+v of itself", r.Meta())
		}
		if err := r.Verify(t.Context()); err != nil {
			rt.Fatal(err)
		}
		if got := len(r.Extents()); got != len(c) {
			rt.Fatalf("%d partitions, want %d", got, len(c))
		}
		for p, want := range c {
			checkPartition(rt, r, p, want)
		}
	})
}

func checkPartition(t *rapid.T, r *Reader, p uint32, want []Record) {
	first, last := want[0], want[len(want)-1]
	e, ok := r.Extent(p)
	if !ok || e.First != first.Offset || e.Last != last.Offset || e.Since != first.Time || e.Until != last.Time || e.Records != int64(len(want)) {
		t.Fatalf("partition %d is %+v", p, e)
	}
	offset := rapid.Int64Range(first.Offset-1, last.Offset+1).Draw(t, "from")
	got, err := read(r, p, offset)
	rest := slices.DeleteFunc(slices.Clone(want), func(r Record) bool { return r.Offset < offset })
	if err != nil || len(got) != len(rest) || len(rest) > 0 && !reflect.DeepEqual(got, rest) {
		t.Fatalf("partition %d from %d: %d records, want %d: %v", p, offset, len(got), len(rest), err)
	}
	ms := rapid.Int64Range(first.Time-1, last.Time+1).Draw(t, "time")
	i := slices.IndexFunc(want, func(r Record) bool { return r.Time >= ms })
	found, ok, err := r.FindTime(p, ms)
	if err != nil || ok != (i >= 0) || ok && !reflect.DeepEqual(found, want[i]) {
		t.Fatalf("partition %d at %d ms: offset %d, %v, %v; want index %d", p, ms, found.Offset, ok, err, i)
	}
}

func TestWhatAFileDoesNotHave(t *testing.T) {
	r := open(t, write(t, contents{3: {{Offset: 5, Time: 9}}}))
	for _, p := range []uint32{2, 4} {
		if _, err := r.Read(p, 0); !errors.Is(err, io.EOF) {
			t.Errorf("partition %d: %v", p, err)
		}
		if _, ok, err := r.FindTime(p, 0); ok || err != nil {
			t.Errorf("partition %d has a time: %v", p, err)
		}
	}
	if _, err := r.Read(3, 6); !errors.Is(err, io.EOF) {
		t.Error("offset 6: ", err)
	}
}

func TestBlocksHaveTheirSize(t *testing.T) {
	rs := []Record{{Offset: 0, Data: make([]byte, 50)}, {Offset: 1, Data: make([]byte, 1<<20)}}
	for i := range 20_000 {
		rs = append(rs, Record{Offset: int64(i + 2), Data: fmt.Appendf(nil, "record %d of some 100 bytes%75d", i, i)})
	}
	m := write(t, contents{0: rs})
	r := open(t, m)
	refs, err := r.list(&r.entries[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, ref := range refs {
		_, raw, err := decodeBlock(m.b[ref.position:ref.position+int64(ref.size)], r.seed, ref.position)
		last := i == len(refs)-1
		if huge := i == 0; err != nil || !huge && (len(raw) > blockMax+30 || len(raw) < blockMin && !last) {
			t.Errorf("block %d of %d has %d bytes: %v", i, len(refs), len(raw), err)
		}
	}
}

func TestTheWriterRefusesWhatIsOutOfOrder(t *testing.T) {
	m := &memory{}
	w := NewWriter(m, testMeta)
	add := func(p uint32, offset, time int64, want bool) {
		t.Helper()
		if err := w.Add(p, Record{Offset: offset, Time: time}); (err == nil) != want {
			t.Errorf("partition %d, offset %d at %d: %v", p, offset, time, err)
		}
	}
	add(2, -1, 5, false)
	add(2, 7, 5, true)
	add(2, 7, 5, false)
	add(2, 6, 5, false)
	add(2, 8, 4, false)
	add(1, 9, 5, false)
	add(2, 8, 5, true)
	add(3, 0, 0, true)
	if err := w.Add(3, Record{Offset: 1, Data: make([]byte, MaxData+1)}); err == nil {
		t.Error("a record was taken that is too large")
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	add(3, 1, 1, false)
	if got, err := read(open(t, m), 2, 0); err != nil || len(got) != 2 {
		t.Errorf("%d records of partition 2: %v", len(got), err)
	}
}

// An error of the disk is told by every call after it, so that nobody takes half a file for a whole one.
func TestTheWriterRemembersAnError(t *testing.T) {
	m := &memory{}
	w := NewWriter(m, testMeta)
	m.fails = errors.New("no space")
	data := make([]byte, blockMax)
	for i := range int64(3) {
		_ = w.Add(0, Record{Offset: i, Data: data})
	}
	m.fails = nil
	if err := w.Add(0, Record{Offset: 3}); err == nil {
		t.Error("Add forgot the error")
	}
	if err := w.Finish(); err == nil {
		t.Error("Finish forgot the error")
	}
}

func TestListsAreReadOnceAndForgotten(t *testing.T) {
	c := contents{}
	for p := range uint32(50) {
		for i := range int64(40) {
			c[p] = append(c[p], Record{Offset: i, Data: make([]byte, 100_000)})
		}
	}
	m := write(t, c)
	cache := NewCache(4096)
	r, err := Open(m, cache)
	if err != nil {
		t.Fatal(err)
	}
	readOne := func(p uint32) int {
		m.reads = 0
		if _, err := r.Read(p, 3); err != nil {
			t.Fatal(err)
		}
		return m.reads
	}
	if first, again := readOne(0), readOne(0); first != 2 || again != 1 {
		t.Errorf("%d reads, then %d: want those of list and block, then that of the block", first, again)
	}
	for p := range uint32(50) {
		readOne(p)
		if cache.bytes > 4096 {
			t.Fatalf("the cache has %d bytes", cache.bytes)
		}
	}
	if readOne(0) != 2 {
		t.Error("the oldest list is still there")
	}
	if err := r.Close(); err != nil || cache.bytes != 0 || len(cache.items) != 0 || cache.order.Len() != 0 {
		t.Errorf("after Close the cache has %d bytes, %d lists: %v", cache.bytes, len(cache.items), err)
	}
}
