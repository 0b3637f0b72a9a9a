package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stockflow/journal/files"
	"stockflow/journal/files/powercut"
)

// handClock is a machine's clock that a test moves.
type handClock struct{ since time.Duration }

func (c *handClock) Wall() time.Time     { return time.UnixMilli(1_764_000_000_000).Add(c.since) }
func (c *handClock) Boot() time.Duration { return time.Hour + c.since }

// house is a journal on a disk in memory, and what it has to have. It seals when it is told.
type house struct {
	t       failing
	disk    files.FS
	clock   *handClock
	j       *Journal
	has     map[string][]Record // by partition, what was appended
	readers []*Cursor
}

// failing is a test, or one of rapid.
type failing interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

const testTail = 16 << 10

func newHouse(t failing) *house {
	h := &house{t: t, disk: powercut.New(), clock: &handClock{}, has: make(map[string][]Record)}
	h.open()
	for _, topic := range []struct {
		name string
		kind Kind
	}{{"events", Log}, {"rows", Table}} {
		if _, err := h.j.CreateTopic(topic.name, topic.kind, 2); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *house) options() Options {
	return Options{Log: slog.New(slog.DiscardHandler), Files: h.disk, Clock: h.clock, TailBytes: testTail, MaxRecent: 1, tidyByHand: true}
}

func (h *house) open() {
	j, err := Open("data", h.options())
	if err != nil {
		h.t.Fatal(err)
	}
	h.j = j
	h.archiver().worth = 1
	h.readers = nil
}

func (h *house) close() {
	if err := h.j.Close(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) archiver() *archiver { return h.j.sealer.(*archiver) }

func (h *house) append(topic string, n int32, r Record) {
	p := h.j.Partition(topic, n)
	rs := []Record{r}
	_, at, err := p.Append(rs...)
	if err == nil {
		err = h.j.WaitDurable(context.Background(), at)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.has[p.String()] = append(h.has[p.String()], rs[0])
}

// fill appends to all partitions what a tail file or more has.
func (h *house) fill(keys int) {
	for i := range 40 {
		n := int32(i % 2)
		h.append("events", n, Record{Key: []byte{byte(i)}, Value: bytes.Repeat([]byte{byte(i)}, 600), Headers: headersOf(header{"h", nil}, header{"i", []byte("x")})})
		h.append("rows", n, Record{Key: fmt.Appendf(nil, "key-%d", rand.IntN(keys)), Value: bytes.Repeat([]byte{byte(i)}, 100)})
	}
}

// tidy does all the work there is, and returns how many steps it took.
func (h *house) tidy() (steps int) {
	for {
		did, err := h.archiver().step(context.Background())
		if err != nil {
			h.t.Fatal(err)
		}
		if !did {
			return steps
		}
		steps++
	}
}

// read returns what a partition has from an offset on.
func (h *house) read(p *Partition, from int64) (rs []Record) {
	err := p.Read(context.Background(), from, 1<<60, Durable, func(r Record) error {
		rs = append(rs, r)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return rs
}

func (h *house) partitions() (all []*Partition) {
	for _, topic := range h.j.Topics() {
		for n := range topic.Partitions {
			all = append(all, h.j.Partition(topic.Name, n))
		}
	}
	return all
}

// check compares what is read with what was appended.
func (h *house) check() {
	for _, p := range h.partitions() {
		want := h.has[p.String()]
		if start, end := p.Bounds(Durable); start != 0 || end != int64(len(want)) {
			h.t.Fatalf("%s has %d to %d, %d were appended", p, start, end, len(want))
		}
		got := h.read(p, 0)
		if p.topic.Kind == Log && !same(got, want) {
			h.t.Fatalf("%s: %d records, want %d, all the same", p, len(got), len(want))
		}
		h.checkTable(p, got, want)
	}
}

func same(got, want []Record) bool {
	return slices.EqualFunc(got, want, func(a, b Record) bool { return reflect.DeepEqual(a, b) })
}

// checkTable: what is left was appended, what is missing is older than a day and has a newer row, or is a tombstone.
func (h *house) checkTable(p *Partition, got, want []Record) {
	day := h.j.Now() - (24 * time.Hour).Milliseconds()
	newest := make(map[string]int64)
	for _, r := range want {
		newest[string(r.Key)] = r.Offset
	}
	left := make(map[int64]Record)
	for _, r := range got {
		left[r.Offset] = r
	}
	if len(left) != len(got) {
		h.t.Fatalf("%s: an offset is there twice", p)
	}
	for i, r := range want {
		l, ok := left[r.Offset]
		if ok && !reflect.DeepEqual(l, r) {
			h.t.Fatalf("%s: offset %d is not as it was: %+v, want %+v", p, r.Offset, l, r)
		}
		mayGo := r.Time <= day && i < len(want)-1 && r.Key != nil && (r.Value == nil || newest[string(r.Key)] > r.Offset)
		if !ok && !mayGo {
			h.t.Fatalf("%s: offset %d of %d is missing", p, r.Offset, len(want))
		}
	}
	if f := fold(got); !reflect.DeepEqual(f, fold(want)) {
		h.t.Fatalf("%s: the rows are others", p)
	}
}

func fold(rs []Record) map[string]string {
	rows := make(map[string]string)
	for _, r := range rs {
		if rows[string(r.Key)] = string(r.Value); r.Value == nil {
			delete(rows, string(r.Key))
		}
	}
	return rows
}

func TestWhatIsSealedIsReadAsBefore(t *testing.T) {
	h := newHouse(t)
	early := h.j.Partition("events", 0).Follow(0, Durable)
	h.fill(1000)
	h.fill(1000)
	if h.tidy() == 0 {
		t.Fatal("nothing was sealed")
	}
	h.check()
	s := h.j.Stats()
	if s.SealedFiles == 0 || s.SealedBytes == 0 || s.TailFiles > 2 || s.Background != nil {
		t.Errorf("%+v", s)
	}
	var got []Record
	for len(got) < len(h.has["events/0"]) {
		rs, err := early.Next(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rs...)
	}
	if !same(got, h.has["events/0"]) {
		t.Error("who followed from before reads something else")
	}
	h.close()
	h.open()
	h.check()
	h.close()
}

// Whatever is appended, sealed, compacted, merged and opened again, in whatever order: what is read is what was appended.
func TestTheArchiveKeepsWhatItHasTo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHouse(rt)
		defer h.close()
		keys := rapid.SampledFrom([]int{1, 5, 100}).Draw(rt, "keys")
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) { h.appendAny(rt, keys) },
			"fill":   func(*rapid.T) { h.fill(keys) },
			"step": func(*rapid.T) {
				if _, err := h.archiver().step(context.Background()); err != nil {
					rt.Fatal(err)
				}
				h.check()
			},
			"tidy":    func(*rapid.T) { h.tidy(); h.check() },
			"wait":    func(rt *rapid.T) { h.clock.since += time.Duration(rapid.IntRange(0, 30).Draw(rt, "hours")) * time.Hour },
			"restart": func(*rapid.T) { h.close(); h.open(); h.check() },
			"follow":  func(rt *rapid.T) { h.follow(rt) },
			"find":    func(rt *rapid.T) { h.findTime(rt) },
		})
	})
}

func (h *house) appendAny(t *rapid.T, keys int) {
	r := Record{Key: fmt.Appendf(nil, "key-%d", rapid.IntRange(0, keys-1).Draw(t, "key"))}
	if rapid.Bool().Draw(t, "value") {
		r.Value = make([]byte, rapid.SampledFrom([]int{0, 1, 3000}).Draw(t, "size"))
	}
	h.append(rapid.SampledFrom([]string{"events", "rows"}).Draw(t, "topic"), rapid.Int32Range(0, 1).Draw(t, "partition"), r)
}

// follow reads on with a cursor that was there, or begins with one: it gets each row in its order and skips none that is
// the newest.
func (h *house) follow(t *rapid.T) {
	if len(h.readers) == 0 || rapid.Bool().Draw(t, "another") {
		h.readers = append(h.readers, rapid.SampledFrom(h.partitions()).Draw(t, "partition").Follow(0, Appended))
	}
	c := rapid.SampledFrom(h.readers).Draw(t, "reader")
	before := c.Offset()
	rs, err := c.Try(rapid.SampledFrom([]int{1, 500, 100_000}).Draw(t, "bytes"))
	if err != nil {
		t.Fatal(err)
	}
	want := h.has[c.p.String()][before:c.Offset()]
	if len(rs) == 0 && len(want) > 0 && c.p.topic.Kind == Log || c.p.topic.Kind == Log && !same(rs, want) {
		t.Fatalf("%s: %d records from %d to %d", c.p, len(rs), before, c.Offset())
	}
}

func (h *house) findTime(t *rapid.T) {
	p := rapid.SampledFrom(h.partitions()).Draw(t, "partition")
	rs := h.read(p, 0)
	if len(rs) == 0 {
		return
	}
	ms := rapid.SampledFrom(rs).Draw(t, "record").Time + rapid.Int64Range(-1, 1).Draw(t, "from")
	i := slices.IndexFunc(rs, func(r Record) bool { return r.Time >= ms })
	offset, at, found := p.FindTime(ms, Durable)
	if found != (i >= 0) || found && (offset != rs[i].Offset || at != rs[i].Time) {
		t.Fatalf("%s at %d: offset %d at %d, %v; want index %d", p, ms, offset, at, found, i)
	}
}

func TestFewFilesStay(t *testing.T) {
	h := newHouse(t)
	for range 40 {
		h.fill(50)
		h.tidy()
	}
	if files := len(h.archiver().files); files > 2*mergeAtOnce {
		t.Errorf("there are %d sealed files", files)
	}
	h.check()
	names, err := h.archiver().dir.numbers()
	if err != nil || len(names) != len(h.archiver().files) {
		t.Errorf("the directory has %d sealed files, %d count: %v", len(names), len(h.archiver().files), err)
	}
	h.close()
}
