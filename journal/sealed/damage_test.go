package sealed

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func smallContents() contents {
	return contents{
		1: {{Offset: 0, Time: 5, Data: []byte("first")}, {Offset: 1, Time: 6, Data: []byte("second")}},
		4: {{Offset: 9, Time: 7, Data: bytes.Repeat([]byte("x"), 200)}, {Offset: 10, Time: 7, Data: make([]byte, blockMax)}, {Offset: 12, Time: 8, Data: []byte{}}},
	}
}

// isDamage reports whether an error names the file, and a position in it.
func isDamage(err error, size int64) bool {
	var d *DamageError
	return errors.As(err, &d) && d.File == "sealed-7" && d.Position >= 0 && d.Position <= size
}

// Whatever byte is changed: Verify says so, and a read returns what was written or says so.
func TestEveryByteIsChecked(t *testing.T) {
	c := smallContents()
	whole := write(t, c).b
	for i := range whole {
		for _, bit := range []byte{1, 0x80} {
			m := &memory{b: bytes.Clone(whole)}
			m.b[i] ^= bit
			r, err := Open(m, NewCache(1<<20))
			if err != nil {
				if !isDamage(err, int64(len(whole))) {
					t.Fatalf("byte %d: open: %v", i, err)
				}
				continue
			}
			if err := r.Verify(t.Context()); !isDamage(err, int64(len(whole))) {
				t.Fatalf("byte %d: verify: %v", i, err)
			}
			checkReads(t, r, c, i)
		}
	}
}

func checkReads(t *testing.T, r *Reader, c contents, i int) {
	t.Helper()
	for p, want := range c {
		got, err := read(r, p, 0)
		if err == nil && !reflect.DeepEqual(got, want) || err != nil && !isDamage(err, r.Size()) {
			t.Fatalf("byte %d: partition %d: %d records, %v", i, p, len(got), err)
		}
	}
}

func TestAFileThatEndsEarlyIsNone(t *testing.T) {
	whole := write(t, smallContents()).b
	for n := range whole {
		if _, err := Open(&memory{b: whole[:n]}, NewCache(1<<20)); !isDamage(err, int64(n)) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// A part of another file, or of another place, is whole and still wrong.
func TestAPartOfAnotherFileIsNotTaken(t *testing.T) {
	m := &memory{}
	w := NewWriter(m, Meta{Number: 8})
	for i := range int64(2) {
		if err := w.Add(1, Record{Offset: i, Data: make([]byte, blockMax)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	other := &memory{}
	w = NewWriter(other, Meta{Number: 9})
	for i := range int64(2) {
		if err := w.Add(1, Record{Offset: i, Data: make([]byte, blockMax)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(); err != nil || len(other.b) != len(m.b) {
		t.Fatal(err)
	}
	mixed := &memory{b: append(bytes.Clone(m.b[:headerSize]), other.b[headerSize:]...)}
	if _, err := Open(mixed, NewCache(0)); !isDamage(err, int64(len(m.b))) {
		t.Error("the rest of another file: ", err)
	}
	r := open(t, m)
	refs, err := r.list(&r.entries[0])
	if err != nil || refs[0].size != refs[1].size {
		t.Fatal(refs, err)
	}
	copy(m.b[refs[1].position:], m.b[refs[0].position:refs[0].position+int64(refs[0].size)])
	if _, err := read(r, 1, 0); !isDamage(err, r.Size()) {
		t.Error("another block: ", err)
	}
}

func TestAnErrorOfTheDiskIsNotDamage(t *testing.T) {
	m := write(t, smallContents())
	r := open(t, m)
	m.fails = errors.New("input/output error")
	var d *DamageError
	if _, err := r.Read(1, 0); !errors.Is(err, m.fails) || errors.As(err, &d) {
		t.Error(err)
	}
}

func TestAnotherFormatIsNamed(t *testing.T) {
	m := write(t, smallContents())
	m.b[8] = 2
	_, err := Open(m, NewCache(0))
	if want := "sealed-7: damaged at byte 0: the format is number 2, this program reads 1"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// FuzzOpen reads files that are anything. Nothing panics, and whoever wrote the file can't say how much memory is taken.
func FuzzOpen(f *testing.F) {
	f.Add(write(f, smallContents()).b)
	f.Add(write(f, contents{}).b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &memory{b: b}
		r, err := Open(m, NewCache(1<<20))
		if err != nil {
			return
		}
		_ = r.Verify(t.Context())
		for _, e := range r.Extents() {
			_, _ = read(r, e.Partition, 0)
			_, _, _ = r.FindTime(e.Partition, e.Until)
		}
	})
}

// FuzzParts gives bytes to what stands behind the CRCs, as one who knows how to compute those could.
func FuzzParts(f *testing.F) {
	m := write(f, smallContents())
	r := open(f, m)
	e := r.entries[1]
	refs, err := r.list(&e)
	if err != nil {
		f.Fatal(err)
	}
	for _, ref := range refs {
		f.Add(m.b[ref.position : ref.position+int64(ref.size)])
	}
	f.Add(m.b[e.list : e.list+int64(e.size)])
	f.Add(m.b[r.footer.directory:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= blockHeaderSize {
			le.PutUint32(b[4:], seed(0).sum(0, b[8:]))
			if h, raw, err := decodeBlock(b, 0, 0); err == nil {
				checkFuzzedRecords(t, h, raw)
			}
		}
		checkFuzzedRecords(t, blockHeader{}, b)
		if refs, err := decodeList(b, uint32(len(b)/4), 1<<30); err == nil && len(refs) > len(b)/4 {
			t.Errorf("%d blocks of %d bytes", len(refs), len(b))
		}
		if entries, err := decodeDirectory(b[:len(b)/entrySize*entrySize], 1<<30); err == nil && len(entries) > len(b)/entrySize {
			t.Errorf("%d partitions of %d bytes", len(entries), len(b))
		}
	})
}

func checkFuzzedRecords(t *testing.T, h blockHeader, raw []byte) {
	t.Helper()
	if len(raw) > maxRaw && h.packed > 0 {
		t.Errorf("%d bytes were decompressed", len(raw))
	}
	rs, err := h.records(raw)
	if err == nil && (len(rs) == 0 || len(rs) > maxCount) {
		t.Errorf("%d records of %d bytes", len(rs), len(raw))
	}
}
