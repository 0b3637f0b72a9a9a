package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/inventory"
)

func header(key, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: []byte(value)}
}

// TestARedriveCountsOnce, whatever was taken in between; and its id is remembered in the row, over a new life of the
// group that has nothing on disk.
func TestARedriveCountsOnce(t *testing.T) {
	b := newBench(t, 1)
	again := header(codecs.HeaderRedrive, "toy-events/0/7")
	b.put(toyLog, "k", receive(1, ""), again)
	for range 150 {
		b.put(toyLog, "k", receive(1, ""))
	}
	for i := range maxRedriven - 1 {
		b.put(toyLog, "k", receive(1, ""), header(codecs.HeaderRedrive, fmt.Sprint("toy-events/0/", 100+i)))
	}
	b.put(toyLog, "k", receive(1000, ""), again)
	b.put(toyLog, "other", receive(1, ""), again) // of another row, so it is another
	b.put(toyLog, "k", receive(1, ""))
	_, stop := b.run(toyMachine())
	b.sums(map[string]int64{"k": 1 + 150 + maxRedriven - 1 + 1, "other": 1})
	stop()

	b.dir = t.TempDir()
	b.put(toyLog, "k", receive(1000, ""), again) // by now the 101st
	b.put(toyLog, "k", receive(1000, ""), header(codecs.HeaderRedrive, "toy-events/0/100"))
	b.put(toyLog, "k", receive(1, ""))
	b.run(toyMachine())
	b.sums(map[string]int64{"k": 1 + 150 + maxRedriven - 1 + 2, "other": 1})
}

// TestARedriveIdStandsForTheOrigin: what only machines send is taken with it, although its origin is behind others of
// its source; and an origin beside it neither counts nor is remembered.
func TestARedriveIdStandsForTheOrigin(t *testing.T) {
	b := newBench(t, 1)
	for range 3 {
		b.put(toySink, "x", []byte("a cause"))
	}
	_, value := codecs.EncodeInventoryEvent(inventory.Reserve{OrderID: "o", Quantity: 1})
	for _, headers := range [][]kgo.RecordHeader{
		{header(codecs.HeaderOrigin, "sink/0/1/0")},
		{header(codecs.HeaderRedrive, "a")},                                            // its origin was sink/0/0/0
		{header(codecs.HeaderRedrive, "b"), header(codecs.HeaderOrigin, "sink/0/0/0")}, // behind the first
		{header(codecs.HeaderRedrive, "c"), header(codecs.HeaderOrigin, "sink/0/2/0")}, // and not taken in by this
		{header(codecs.HeaderRedrive, "d"), header(codecs.HeaderOrigin, "nonsense")},
		{header(codecs.HeaderRedrive, "a"), header(codecs.HeaderOrigin, "sink/0/2/0")}, // a repeat
		{header(codecs.HeaderOrigin, "sink/0/2/0")},
	} {
		b.put(toyLog, "k", value, headers...)
	}
	b.put(toyLog, "k", receive(100, ""), header(codecs.HeaderRedrive, ""))
	b.put(toyLog, "end", receive(1, ""))
	b.run(toyMachine())
	b.sums(map[string]int64{"k": 6, "end": 1})
	if l := b.letters(1)[0]; l.Offset != 7 || l.Reason != "the header redrive is empty" {
		t.Errorf("the letter is %+v", l)
	}
}

// TestAMovedRedriveKeepsItsId: sent twice to a wrong partition, it is moved twice, with two origins.
func TestAMovedRedriveKeepsItsId(t *testing.T) {
	b := newBench(t, 4)
	wrong := (broker.Partition([]byte("k"), 4) + 1) % 4
	for range 2 {
		b.putAt(wrong, toyLog, "k", receive(1, ""), header(codecs.HeaderRedrive, "a"))
		b.putAt(wrong, toyLog, "", []byte(`{"receive":{"sku":"k","quantity":10}}`), header(codecs.HeaderRedrive, "b"))
	}
	b.putAt(wrong, toyLog, "k", receive(100, "out"))
	b.run(toyMachine())
	b.sink(1) // what was moved last was taken
	b.put(toyLog, "k", receive(1000, ""))
	b.sums(map[string]int64{"k": 1111})
}

// forgetful is a writer that writes all but dead letters.
type forgetful struct{ broker.Writer }

func (f forgetful) Write(_ context.Context, r *kgo.Record) error {
	if r.Topic == DeadLetters {
		return ErrUnreachable
	}
	return nil
}

// TestALetterThatWasNotNotedMayHaveBeenSent, whatever kept it from being noted.
func TestALetterThatWasNotNotedMayHaveBeenSent(t *testing.T) {
	r := &Redriver{forgetful{}, 1}
	if _, err := r.Send(t.Context(), Redrive{ID: "a"}); !errors.Is(err, ErrUnknown) || errors.Is(err, ErrUnreachable) {
		t.Errorf("the error is %v", err)
	}
}

// TestARedriverSendsWhatWasThere, but for what told where it stood, and notes it.
func TestARedriverSendsWhatWasThere(t *testing.T) {
	b := newBench(t, 4)
	headers := func(pairs ...string) (all []codecs.Header) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, codecs.Header{Key: pairs[i], Value: []byte(pairs[i+1])})
		}
		return all
	}
	letter := func(offset int64, d codecs.DeadLetter) codecs.DeadLetter {
		d.Topic, d.Partition, d.Offset, d.Key = toyLog, 3, offset, []byte("k")
		return d
	}
	letters := []Redrive{
		{ID: "one", DeadLetter: letter(1, codecs.DeadLetter{Value: []byte("\xffx"), Headers: headers(
			"origin", "sink/0/1/0", "ce_id", "sink/0/1/0", "ce_type", "stockflow.reserve", "content-type", "application/protobuf", "mine", "")})},
		{ID: "two", DeadLetter: letter(2, codecs.DeadLetter{NoValue: true})},
		{ID: "three", DeadLetter: letter(3, codecs.DeadLetter{})},
		{ID: "four", DeadLetter: letter(4, codecs.DeadLetter{Value: []byte("x"), Headers: headers("redrive", "a", "content-type", "application/protobuf")}), Repaired: []byte("{}")},
	}
	r, err := NewRedriver(b.conn, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, l := range letters {
		want := Position{Partition: broker.Partition([]byte("k"), 4), Offset: int64(i)}
		if at, err := r.Send(t.Context(), l); err != nil || at != want {
			t.Fatalf("%s was sent to %v, %v, expected %v", nameOf(l.DeadLetter), at, err, want)
		}
	}
	want := []string{
		`"\xffx" [redrive=one ce_id=one ce_type=stockflow.reserve content-type=application/protobuf mine=]`,
		`none [redrive=two]`,
		`"" [redrive=three]`,
		`"{}" [redrive=four]`,
	}
	var got []string
	b.follow(toyLog, func(r *kgo.Record) bool {
		value := fmt.Sprintf("%q", r.Value)
		if r.Value == nil {
			value = "none"
		}
		var headers []string
		for _, h := range r.Headers {
			headers = append(headers, h.Key+"="+string(h.Value))
		}
		got = append(got, fmt.Sprintf("%s %v", value, headers))
		if r.Partition != broker.Partition([]byte("k"), 4) {
			t.Errorf("sent to partition %d", r.Partition)
		}
		return len(got) == len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i, note := range b.letters(4) {
		if l := letters[i].DeadLetter; note.Redrive == nil || nameOf(note) != nameOf(l) || note.Redrive.ID != letters[i].ID ||
			note.Redrive.Offset != int64(i) || note.Redrive.Repaired != (i == 3) {
			t.Errorf("the note is %+v %+v", note, note.Redrive)
		}
	}
}
