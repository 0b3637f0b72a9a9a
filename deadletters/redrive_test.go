package deadletters

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/processors"
	"stockflow/views"
)

const (
	noLamps = `{"placed":{"lines":[{"sku":"lamp","quantity":-2}]}}`
	lamps   = `{"placed":{"lines":[{"sku":"lamp","quantity":2}]}}`
	answer  = `{"reserved":{"sku":"lamp","takes":[{"location":"main","quantity":2}]}}`
	newer   = `{"rules":9}`
)

// TestLettersAreJudged by what would become of what is sent, and by what was sent before.
func TestLettersAreJudged(t *testing.T) {
	for _, c := range []struct {
		value    string
		redriven int
		cut      bool
		options  Options
		machine  bool
		why      Why // if it is refused
		refused  bool
	}{
		{value: lamps},
		{value: noLamps, refused: true, why: Unfit},
		{value: noLamps, options: Options{Force: true}},
		{value: noLamps, options: Options{Value: []byte(lamps)}},
		{value: lamps, options: Options{Value: []byte(noLamps)}, refused: true, why: Unfit},
		{value: newer, refused: true, why: Halting},
		{value: newer, options: Options{Force: true}, refused: true, why: Halting},
		{value: answer, machine: true},
		{value: lamps, redriven: 1, refused: true, why: Redriven},
		{value: lamps, redriven: 1, options: Options{Force: true}, refused: true, why: Redriven},
		{value: lamps, redriven: 1, options: Options{Again: 1}},
		{value: noLamps, redriven: 1, options: Options{Again: 1}, refused: true, why: Unfit},
		{value: lamps, cut: true, refused: true, why: Cut},
		{value: lamps, cut: true, options: Options{Force: true}, refused: true, why: Cut},
		{value: lamps, cut: true, options: Options{Value: []byte(lamps)}},
	} {
		l := views.DeadLetter{
			DeadLetter: codecs.DeadLetter{Topic: processors.OrderEvents, Offset: 7, Key: []byte("o-1"), Value: []byte(c.value)},
			Redriven:   c.redriven,
		}
		if c.cut {
			l.Cut = &codecs.Cut{Size: 1 << 30}
		}
		machine, err := c.options.Judge(l)
		var refusal *Refusal
		if refused := errors.As(err, &refusal); refused != c.refused || machine != c.machine || (err != nil) != refused {
			t.Errorf("%s, sent again %d times, with %+v: by a machine: %v, %v", c.value, c.redriven, c.options, machine, err)
		}
		if refusal != nil && (refusal.Why != c.why || refusal.Times != c.redriven || refusal.DeadLetter != l.ID()) {
			t.Errorf("%s, sent again %d times, with %+v is refused as %+v", c.value, c.redriven, c.options, refusal)
		}
	}
}

// office is a journal with a log and its dead letters, and who sends them again.
type office struct {
	t       *testing.T
	conn    broker.Broker
	writer  broker.Writer
	letters *views.DeadLetters
	*Redriver
}

func newOffice(t *testing.T) *office {
	t.Helper()
	j, err := journal.Open(t.TempDir(), journal.Options{Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, j.Close()) })
	o := &office{t: t, conn: broker.NewLocal(j)}
	_, _, err = o.conn.Ensure(t.Context(), []broker.Topic{{Name: processors.OrderEvents}, {Name: engine.DeadLetters, Kind: broker.Letters}}, 1)
	must(t, err)
	o.writer, err = o.conn.Writer()
	must(t, err)
	t.Cleanup(o.writer.Close)
	o.Redriver, o.letters = o.clerk()
	return o
}

// clerk returns another who sends letters again, as another process would.
func (o *office) clerk() (*Redriver, *views.DeadLetters) {
	o.t.Helper()
	w, err := engine.NewRedriver(o.conn, 1)
	must(o.t, err)
	o.t.Cleanup(w.Close)
	letters := views.NewDeadLetters(o.conn, nil)
	return NewRedriver(letters, w), letters
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// letter makes a dead letter.
func (o *office) letter(offset int64) views.DeadLetterID {
	o.t.Helper()
	d := codecs.DeadLetter{Topic: processors.OrderEvents, Offset: offset, Key: []byte("o-1"), Value: []byte(lamps), Reason: "why"}
	must(o.t, o.writer.Write(o.t.Context(), &kgo.Record{Topic: engine.DeadLetters, Key: d.Key, Value: codecs.EncodeDeadLetter(d)}))
	return views.DeadLetterID{Topic: d.Topic, Offset: offset}
}

// all are the letters as somebody finds them.
func (o *office) all() (letters []views.DeadLetter) {
	o.t.Helper()
	must(o.t, o.letters.Walk(o.t.Context(), func(views.DeadLetterID, int) bool { return true }, func(l views.DeadLetter) error {
		letters = append(letters, l)
		return nil
	}))
	return letters
}

// sent are the redrive ids in the log.
func (o *office) sent() (ids []string) {
	o.t.Helper()
	ends, err := o.conn.Ends(o.t.Context(), processors.OrderEvents)
	must(o.t, err)
	end := ends[broker.TopicPartition{Topic: processors.OrderEvents}]
	must(o.t, o.conn.Read(o.t.Context(), processors.OrderEvents, 0, 0, end, func(r *kgo.Record) error {
		ids = append(ids, string(r.Headers[0].Value))
		return nil
	}))
	return ids
}

// TestALetterIsSentOnce by all who try at once, and where it was sent is told.
func TestALetterIsSentOnce(t *testing.T) {
	o := newOffice(t)
	id := o.letter(7)
	var tries sync.WaitGroup
	var done, refused atomic.Int32
	for range 8 {
		tries.Go(func() {
			sent, err := o.Redrive(t.Context(), id, Options{})
			var refusal *Refusal
			switch {
			case err == nil && sent.ID == id.String() && sent.At == (engine.Position{}):
				done.Add(1)
			case errors.As(err, &refusal) && refusal.Why == Redriven && refusal.Times == 1:
				refused.Add(1)
			default:
				t.Errorf("it was sent to %+v, %v", sent, err)
			}
		})
	}
	tries.Wait()
	if sent := o.sent(); done.Load() != 1 || refused.Load() != 7 || len(sent) != 1 {
		t.Errorf("it was sent %d times, and refused %d times: %q", done.Load(), refused.Load(), sent)
	}
	var refusal *Refusal
	nobody := views.DeadLetterID{Topic: processors.OrderEvents, Offset: 12345}
	if _, err := o.Redrive(t.Context(), nobody, Options{}); !errors.As(err, &refusal) || refusal.Why != Unknown {
		t.Errorf("one that isn't there is refused as %v", err)
	}
}

// TestWhatAnotherHasSentIsLeftOut, although it was not sent yet when it was chosen.
func TestWhatAnotherHasSentIsLeftOut(t *testing.T) {
	o := newOffice(t)
	first, second := o.letter(7), o.letter(8)
	chosen := o.all()
	other, _ := o.clerk()
	_, err := other.Redrive(t.Context(), first, Options{})
	must(t, err)
	sent, err := o.Send(t.Context(), chosen, Options{})
	must(t, err)
	if len(sent) != 1 || sent[0].DeadLetter.ID() != second || sent[0].At.Offset != 1 {
		t.Errorf("sent were %+v", sent)
	}
	if ids := o.sent(); !slices.Equal(ids, []string{first.String(), second.String()}) {
		t.Errorf("the log has %q", ids)
	}
}
