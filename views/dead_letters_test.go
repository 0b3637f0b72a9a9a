package views

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
)

// deadLetters is a broker with nothing but dead letters, and a writer that stands for the engine.
type deadLetters struct{ *world }

func newDeadLetters(t testing.TB) *deadLetters {
	t.Helper()
	w := newWorld(t, 1)
	_, _, err := w.conn.Ensure(t.Context(), []broker.Topic{{Name: engine.DeadLetters, Kind: broker.Letters}}, 4)
	must(t, err)
	return &deadLetters{w}
}

// letterAt is a letter whose key, reason and value follow from its place.
func letterAt(topic string, partition int32, offset, at int64) codecs.DeadLetter {
	return codecs.DeadLetter{
		Topic: topic, Partition: partition, Offset: offset, At: at, Key: fmt.Appendf(nil, "k%d", offset%7),
		Value: fmt.Appendf(nil, "value %d", offset), Reason: fmt.Sprintf("reason %d", offset),
		Headers: []codecs.Header{{Key: "ce_type", Value: []byte("stockflow.placed")}},
	}
}

func noteOf(d codecs.DeadLetter) codecs.DeadLetter {
	return codecs.DeadLetter{Topic: d.Topic, Partition: d.Partition, Offset: d.Offset, At: d.At, Key: d.Key, Redrive: &codecs.Redrive{ID: "x"}}
}

func (d *deadLetters) write(letters ...codecs.DeadLetter) {
	d.t.Helper()
	for _, l := range letters {
		d.append(engine.DeadLetters, &kgo.Record{Key: l.Key, Value: codecs.EncodeDeadLetter(l)})
	}
}

// leafThrough reads all pages, from the newest to the oldest.
func leafThrough(t testing.TB, l *DeadLetters, topic string, limit int, between func()) (all []DeadLetter) {
	t.Helper()
	var before *DeadLetterPlace
	for more := true; more; {
		page, goesOn, err := l.Page(within(t), topic, before, limit)
		must(t, err)
		if len(page) > limit || len(page) < limit && goesOn {
			t.Fatalf("a page of %d has %d letters, and more: %v", limit, len(page), goesOn)
		}
		all, more = append(all, page...), goesOn
		if more {
			place := page[len(page)-1].Place()
			before = &place
		}
		between()
	}
	return all
}

func ids(letters []DeadLetter) (all []string) {
	for _, l := range letters {
		all = append(all, l.ID().String())
	}
	return all
}

// TestLettersAreListedOnce, newest first, whatever the size of the page, with repeats in any order that a crash can
// leave, and with letters that come between the pages.
func TestLettersAreListedOnce(t *testing.T) {
	d := newDeadLetters(t)
	var letters []codecs.DeadLetter
	var want []string
	for i := range int64(40) {
		topic := []string{"order-events", "shipment-events"}[i%2]
		l := letterAt(topic, int32(i%3), i, 1000+i/5*5) // five at a time have the same time
		letters = append(letters, l)
		want = append(want, fmt.Sprintf("%d %s/%d/%d", l.At, l.Topic, l.Partition, l.Offset))
	}
	slices.Sort(want)
	for i := range want {
		_, want[i], _ = strings.Cut(want[i], " ")
	}
	slices.Reverse(want)

	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
	early, late := NewDeadLetters(d.conn, nil), NewDeadLetters(d.conn, nil)
	for half := range slices.Chunk(letters, 20) {
		d.write(half...)
		d.write(half[:8]...)
		leafThrough(t, early, "", 1000, func() {}) // so that it takes them in pieces
	}
	added := int64(0)
	add := func() {
		added++
		d.write(letterAt("order-events", 0, 1000+added, 5000+added), letterAt("order-events", 1, 2000+added, added))
	}
	for _, l := range []*DeadLetters{early, late} {
		for _, limit := range []int{3, 39, 40, 41} {
			got := slices.DeleteFunc(ids(leafThrough(t, l, "", limit, add)), func(id string) bool { return !slices.Contains(want, id) })
			if !slices.Equal(got, want) {
				t.Fatalf("pages of %d list\n%v, expected\n%v", limit, got, want)
			}
		}
	}
	for _, l := range leafThrough(t, late, "shipment-events", 9, func() {}) {
		if l.Topic != "shipment-events" || l.Event != "placed" || l.Value != nil || l.Size == 0 || l.Reason != fmt.Sprintf("reason %d", l.Offset) {
			t.Errorf("one of shipment-events is %+v", l)
		}
	}
}

// TestNotesCount: how often a letter was sent again is told, by one that has read the log piece by piece as by one
// that comes later. A note is no letter, and noise is neither.
func TestNotesCount(t *testing.T) {
	d := newDeadLetters(t)
	early := NewDeadLetters(d.conn, nil)
	a, b := letterAt("order-events", 0, 1, 10), letterAt("order-events", 0, 2, 20)
	for _, step := range [][]codecs.DeadLetter{{a, b}, {noteOf(a), a}, {noteOf(a), noteOf(b)}, {noteOf(letterAt("order-events", 0, 3, 15))}} {
		d.write(step...)
		_, _, err := early.Page(within(t), "", nil, 10)
		must(t, err)
	}
	d.append(engine.DeadLetters, &kgo.Record{Value: []byte("\xff")})
	d.append(engine.DeadLetters, &kgo.Record{})
	for _, l := range []*DeadLetters{early, NewDeadLetters(d.conn, nil)} {
		page, more, err := l.Page(within(t), "", nil, 2)
		must(t, err)
		if len(page) != 2 || more || page[0].Offset != 2 || page[0].Redriven != 1 || page[1].Offset != 1 || page[1].Redriven != 2 {
			t.Errorf("the page is %+v, more %v", page, more)
		}
		places := []DeadLetterPlace{DeadLetter{DeadLetter: b}.Place(), DeadLetter{DeadLetter: a}.Place(), {At: 10}, {At: 30}}
		if times, err := l.Redriven(within(t), places); err != nil || !slices.Equal(times, []int{1, 2, 0, 0}) {
			t.Errorf("the letters were sent again %v times, %v", times, err)
		}
		if n, err := l.Unreadable(within(t)); err != nil || n != 2 {
			t.Errorf("%d are unreadable, %v", n, err)
		}
	}
}

// TestAWalkHasAllOfALetter, each key's in their order, and only what was picked and kept.
func TestAWalkHasAllOfALetter(t *testing.T) {
	d := newDeadLetters(t)
	var letters []codecs.DeadLetter
	for i := range int64(1000) {
		letters = append(letters, letterAt("order-events", 0, i, i))
	}
	d.write(letters...)
	d.write(noteOf(letterAt("order-events", 0, 10, 10)))
	l := NewDeadLetters(d.conn, func(d codecs.DeadLetter) bool { return d.Reason != "reason 20" })
	var got []int64
	last := map[string]int64{}
	pick := func(id DeadLetterID, redriven int) bool { return redriven == 0 && (id.Offset < 100 || id.Offset > 990) }
	must(t, l.Walk(within(t), pick, func(letter DeadLetter) error {
		got = append(got, letter.Offset)
		if want := letterAt("order-events", 0, letter.Offset, letter.Offset); string(letter.Value) != string(want.Value) || len(letter.Headers) != 1 {
			t.Errorf("the letter is %+v", letter)
		}
		if before := last[string(letter.Key)]; letter.Offset < before {
			t.Errorf("%s comes after one of its key at %d", letter.ID(), before)
		}
		last[string(letter.Key)] = letter.Offset
		return nil
	}))
	slices.Sort(got)
	if len(got) != 107 || slices.Contains(got, 10) || slices.Contains(got, 20) {
		t.Errorf("it walked over %d letters: %v", len(got), got)
	}
}

// TestWithoutALogThereAreNoLetters, and who stops asking Kafka is let go.
func TestWithoutALogThereAreNoLetters(t *testing.T) {
	w, _ := newKafkaWorld(t, 1)
	for _, l := range []*DeadLetters{NewDeadLetters(newWorld(t, 1).conn, nil), NewDeadLetters(w.conn, nil)} {
		if page, more, err := l.Page(within(t), "", nil, 10); err != nil || more || page != nil {
			t.Errorf("got %v, %v, %v", page, more, err)
		}
	}
	l := NewDeadLetters(w.conn, nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.Page(gone, "", nil, 10); err == nil {
		t.Error("a page for one who has gone")
	}
	if _, _, err := l.Page(within(t), "", nil, 10); err != nil {
		t.Error("the next one fails:", err)
	}
}

func TestLetterIDs(t *testing.T) {
	for _, text := range []string{"order-events/3/1042", "x/0/0"} {
		if id, err := ParseDeadLetterID(text); err != nil || id.String() != text {
			t.Errorf("%s is read as %v, %v", text, id, err)
		}
	}
	for _, text := range []string{"", "order-events", "order-events/3", "/3/1", "x/-1/1", "x/1/-1", "x/01/1", "x/1/1/1", "x/1/9223372036854775808", "x/2147483648/1", "x/a/b"} {
		if id, err := ParseDeadLetterID(text); err == nil {
			t.Errorf("%q is read as %v", text, id)
		}
	}
}

// BenchmarkLetters shows what a page of the newest hundred costs among many, and what each letter takes in memory.
func BenchmarkLetters(b *testing.B) {
	d := newDeadLetters(b)
	const many = 100_000
	for i := range int64(many / 1000) {
		var chunk []codecs.DeadLetter
		for j := range int64(1000) {
			chunk = append(chunk, letterAt("order-events", 0, i*1000+j, i*1000+j))
		}
		d.write(chunk...)
	}
	l := NewDeadLetters(d.conn, nil)
	_, _, err := l.Page(b.Context(), "", nil, 1)
	must(b, err)
	for b.Loop() {
		page, _, err := l.Page(b.Context(), "", nil, 100)
		if must(b, err); len(page) != 100 {
			b.Fatal(len(page))
		}
	}
	b.ReportMetric(float64(cap(l.entries))*float64(unsafe.Sizeof(indexEntry{}))/many, "B/letter")
}
