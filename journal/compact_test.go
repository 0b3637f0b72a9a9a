package journal

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"
)

// table is a house with one table of one partition, in which everything is done by hand.
type table struct {
	*house
	p *Partition
}

func newTable(t *testing.T) *table {
	h := newHouse(t)
	return &table{h, h.j.Partition("rows", 0)}
}

// row appends a row, or a tombstone if it has no value.
func (b *table) row(key string, value []byte) {
	r := Record{Value: value}
	if key != "" {
		r.Key = []byte(key)
	}
	b.append("rows", 0, r)
}

// seal fills the tail file with what is in another log, so that what is in the table is sealed.
func (b *table) seal() {
	b.t.(*testing.T).Helper()
	for b.j.Stats().TailFiles < 2 || b.j.tails[1].end == tailHeader {
		b.append("events", 0, Record{Value: make([]byte, 1000)})
	}
	b.tidy()
}

func (b *table) later(d time.Duration) { b.clock.since += d }

// left says which offsets are in the sealed files.
func (b *table) left(want ...int64) {
	b.t.(*testing.T).Helper()
	var got []int64
	for _, r := range b.read(b.p, 0) {
		got = append(got, r.Offset)
	}
	if !slices.Equal(got, want) {
		b.t.Fatalf("left are %d, want %d", got, want)
	}
}

var aValue = []byte("value")

// large returns a value that makes the file that it is in so many KiB larger.
func large(kib int) []byte {
	b := make([]byte, kib<<10)
	_, _ = rand.Read(b)
	return b
}

func TestCompactionKeepsTheNewestRows(t *testing.T) {
	b := newTable(t)
	for i, key := range []string{"a", "b", "a", "", "b", "c", "a", "", "c"} {
		b.row(key, fmt.Append(nil, i))
	}
	b.seal()
	b.left(0, 1, 2, 3, 4, 5, 6, 7, 8)
	b.later(23 * time.Hour)
	b.tidy()
	b.left(0, 1, 2, 3, 4, 5, 6, 7, 8)
	b.later(2 * time.Hour)
	b.tidy()
	b.left(3, 4, 6, 7, 8) // without a key nothing is replaced
	b.row("b", aValue)
	b.row("d", large(2))
	b.seal()
	b.later(25 * time.Hour)
	b.tidy()
	b.left(3, 6, 7, 8, 9, 10)
	b.check()
	b.close()
}

func TestFollowersHoldCompactionBack(t *testing.T) {
	b := newTable(t)
	c := b.p.Follow(0, Durable)
	for range 3 {
		b.row("a", aValue)
	}
	b.seal()
	b.later(25 * time.Hour)
	for want := range int64(3) {
		b.tidy()
		b.left(0, 1, 2)
		if rs, err := c.Try(1); err != nil || rs[0].Offset != want {
			t.Fatal(rs, err)
		}
	}
	b.tidy()
	b.left(2)
	b.close()
}

// A tombstone goes one compaction after the rows that it deletes, and only if somebody follows.
func TestTombstonesGoAfterTheirRows(t *testing.T) {
	for _, followed := range []bool{true, false} {
		b := newTable(t)
		c := b.p.Follow(0, Durable)
		kib := 1
		compact := func(want ...int64) {
			t.Helper()
			kib *= 2
			b.row("z", large(kib))
			b.seal()
			b.later(25 * time.Hour)
			if _, err := c.Try(1 << 20); err != nil {
				t.Fatal(err)
			}
			if !followed {
				b.p.followers = nil
			}
			b.tidy()
			b.left(want...)
		}
		b.row("a", aValue)
		b.row("b", aValue)
		b.row("a", nil)
		compact(1, 2, 3)
		if followed {
			compact(1, 4)
			if gone := b.j.manifest.Tombstones; gone[b.p.number] != 2 {
				t.Errorf("the manifest says of tombstones %v", gone)
			}
		} else {
			compact(1, 2, 4)
		}
		b.close()
	}
}

// The last record stays, though it is a tombstone.
func TestTheLastRecordStays(t *testing.T) {
	b := newTable(t)
	c := b.p.Follow(0, Durable)
	b.row("a", aValue)
	b.row("a", nil)
	b.seal()
	if _, err := c.Try(1 << 20); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		b.append("rows", 1, Record{Key: []byte("other"), Value: large(1 << i)})
		b.seal()
		b.later(25 * time.Hour)
		b.tidy()
		b.left(1)
	}
	b.close()
}

// Keys are remembered for a bounded number of records: files beyond it wait for the next compaction.
func TestCompactionTakesFewKeysAtOnce(t *testing.T) {
	b := newTable(t)
	var files []*sealedFile
	for range 3 {
		b.row("a", aValue)
		b.seal()
	}
	for _, f := range b.archiver().files {
		if f.Tables {
			files = append(files, f)
		}
	}
	all := func(*sealedFile) bool { return true }
	if got, _ := toCompact(files, 1, all); len(got) != 3 {
		t.Errorf("%d of 3 files", len(got))
	}
	if n := withFewKeys(files, 2); n != 2 {
		t.Errorf("%d of 3 files have 2 records", n)
	}
	if n := withFewKeys(files, 0); n != 1 {
		t.Errorf("%d files at once, want the first whatever it has", n)
	}
	b.close()
}
