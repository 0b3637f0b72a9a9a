package engine_test

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
)

// verdict is what must become of a message: known as soon as its log has it, from the log alone.
type verdict struct {
	kind     kind
	key      string
	row      []byte // after it
	outputs  []engine.Output
	landed   []*stored // the outputs, once they are in their logs
	refusal  string
	origin   *codecs.Origin
	typ      string
	redrive  []byte
	trace    []byte
	at       int64
	noted    bool // a record of the changelog says that it was taken
	lettered *stored
}

type kind uint8

const (
	taken kind = iota
	repeat
	letter
	moved
	gap
	halt   // the partition stops there
	behind // a halt
)

func (k kind) String() string {
	return [...]string{"taken", "a repeat", "a letter", "moved", "a gap", "a halt", "behind a halt"}[k]
}

// book folds the log of a machine, with nothing of the engine but Read, Has and Fold.
type book[S any] struct {
	w       *world
	machine engine.Machine[S]
	rows    map[string]engine.Row[S]
	causes  map[codecs.Origin]bool            // of what was taken
	changed func(key string, before, after S) // checks a change
}

// judge folds a record of a log. The one before it was judged.
func (b *book[S]) judge(s *shelf, offset int64) *verdict {
	r, headers := b.w.incoming(s, offset)
	v := &verdict{kind: letter, at: r.At, trace: headers[codecs.HeaderTraceParent], redrive: r.Redrive}
	if s.records[offset].marker {
		v.kind = gap
		return v
	}
	in, unreadable := b.machine.Read(r)
	if s.halted || unreadable != nil && unreadable.Halt {
		v.kind = behind
		if !s.halted {
			v.kind, s.halted = halt, true
		}
		return v
	}
	if unreadable != nil || in.Origin != nil && in.Origin.Offset >= b.w.end(in.Origin.Log, in.Origin.Partition) {
		return v
	}
	v.key, v.origin, v.typ = in.Key, in.Origin, in.Type
	if r.Key == "" || broker.Partition([]byte(in.Key), b.w.shape.partitions) != s.partition {
		if !in.Emitted {
			v.kind = moved
			v.outputs = []engine.Output{{Log: s.topic, Key: in.Key, Type: in.Type, Value: r.Value}}
		}
		return v
	}
	row, known := b.rows[in.Key]
	if !known {
		row = engine.NoRow[S]()
	}
	if row.Has(in) {
		v.kind = repeat
		return v
	}
	next, res := b.machine.Fold(row, in)
	if res.Inapplicable != "" {
		if in.Emitted && !s.records[offset].forged {
			b.w.fail("%s/%d offset %d, which a machine sent, is unfit: %s", s.topic, s.partition, offset, res.Inapplicable)
		}
		return v
	}
	if in.Origin != nil && b.causes[*in.Origin] {
		b.w.fail("%s/%d offset %d takes effect, and its origin %s did before", s.topic, s.partition, offset, r.Origin)
	}
	if in.Origin != nil {
		b.causes[*in.Origin] = true
	}
	b.rows[in.Key] = next
	v.kind, v.outputs, v.refusal = taken, res.Outputs, res.Refusal
	v.row = b.machine.EncodeRow(next.Head, next.State)
	if b.changed != nil {
		b.changed(in.Key, row.State, next.State)
	}
	return v
}

// oracle knows what each log comes to, and holds what the engine does against it.
type oracle struct {
	w         *world
	orders    *book[order.State]
	stock     *book[inventory.State]
	parcels   *book[shipment.State]
	outbox    *book[notification.State]
	judge     []func(*shelf, int64) *verdict
	verdicts  [][]*verdict // by number of the shelf of a log
	newest    []map[string]standing
	committed [][]int64 // up to where commits were checked, by group and partition
}

// standing is how a key stands in a changelog.
type standing struct {
	newest, last int64 // the offsets of its newest record, and of its last
}

func newOracle(w *world) *oracle {
	o := &oracle{
		w:      w,
		orders: newBook(w, processors.Order(nil)), stock: newBook(w, processors.Inventory(nil)),
		parcels: newBook(w, processors.Shipment(nil)), outbox: newBook(w, processors.Notification(nil)),
		verdicts: make([][]*verdict, len(w.shelves)),
		newest:   make([]map[string]standing, len(specs)),
	}
	o.stock.changed = o.checkStock
	o.parcels.changed = func(id string, before, after shipment.State) {
		if before.Status == shipment.None && after.Status != shipment.None {
			w.people.packed = append(w.people.packed, id)
		}
	}
	o.judge = []func(*shelf, int64) *verdict{o.orders.judge, o.stock.judge, o.parcels.judge, o.outbox.judge}
	for i := range specs {
		o.newest[i] = map[string]standing{}
		o.committed = append(o.committed, make([]int64, w.shape.partitions))
	}
	return o
}

func newBook[S any](w *world, m engine.Machine[S]) *book[S] {
	return &book[S]{w: w, machine: m, rows: map[string]engine.Row[S]{}, causes: map[codecs.Origin]bool{}}
}

// number is the place of a shelf among all.
func (o *oracle) number(s *shelf) int { return s.number*int(o.w.shape.partitions) + int(s.partition) }

func (o *oracle) verdict(log string, partition int32, offset int64) *verdict {
	n, known := topicNumbers[log]
	if !known || n >= len(specs) || partition >= o.w.shape.partitions {
		return nil
	}
	vs := o.verdicts[n*int(o.w.shape.partitions)+int(partition)]
	if offset < 0 || offset >= int64(len(vs)) {
		return nil
	}
	return vs[offset]
}

// saw takes in a record that can be read now.
func (o *oracle) saw(s *shelf, offset int64) {
	r := &s.records[offset]
	n := o.number(s)
	switch {
	case s.topic == engine.DeadLetters:
		o.sawLetter(r)
	case s.number >= len(specs):
		o.sawRow(s, r, offset)
	default:
		if r.by != outside {
			o.sawOutput(r)
		}
		v := o.judge[s.number](s, offset)
		o.verdicts[n] = append(o.verdicts[n], v)
		o.w.count("messages " + v.kind.String())
	}
}

func (o *oracle) sawOutput(r *stored) {
	origin, err := codecs.ParseOrigin(r.header(codecs.HeaderOrigin))
	if err == nil {
		if v := o.verdict(origin.Log, origin.Partition, origin.Offset); v != nil && int(origin.Index) < len(v.outputs) {
			if v.landed == nil {
				v.landed = make([]*stored, len(v.outputs))
			}
			if v.landed[origin.Index] == nil {
				v.landed[origin.Index] = r
			}
		}
	}
}

func (o *oracle) sawLetter(r *stored) {
	d, err := codecs.DecodeDeadLetter(r.value)
	if err != nil || d.Redrive != nil {
		return
	}
	if v := o.verdict(d.Topic, d.Partition, d.Offset); v != nil {
		if v.lettered == nil {
			v.lettered = r
			o.w.people.letters = append(o.w.people.letters, d)
		}
	}
}

func (o *oracle) sawRow(s *shelf, r *stored, offset int64) {
	table := s.number - len(specs)
	st, known := o.newest[table][r.key]
	st.last = offset
	if !known || r.head.Newer(s.records[st.newest].head) {
		st.newest = offset
	} else if s.records[st.newest].head.Newer(r.head) {
		o.w.count("older rows behind newer ones")
	}
	o.newest[table][r.key] = st
	noted, _ := codecs.DecodeTaken(r.header(codecs.HeaderTaken))
	for _, t := range noted {
		if v := o.verdict(specs[table].log, s.partition, t.Offset); v != nil {
			v.noted = true
		}
	}
	if s.topic == processors.NotificationTable && st.newest == offset {
		o.w.mails.told(r.key, r.value)
	}
}

// sent holds what the engine sends against what it should, as the log takes it.
func (o *oracle) sent(s *shelf, r *stored) {
	switch {
	case s.topic == engine.DeadLetters:
		o.checkLetter(r)
	case s.number >= len(specs):
		head, err := codecs.DecodeHead(r.value)
		if err != nil {
			o.w.fail("a row of %q that does not decode: %v", r.key, err)
		}
		r.head = head
		o.checkRow(s, r)
	default:
		o.checkOutput(s, r)
	}
}

func (o *oracle) checkOutput(s *shelf, r *stored) {
	text := r.header(codecs.HeaderOrigin)
	origin, err := codecs.ParseOrigin(text)
	if err != nil {
		o.w.fail("an output to %s: %v", s.topic, err)
	}
	if !o.w.strict {
		return
	}
	v := o.verdict(origin.Log, origin.Partition, origin.Offset)
	if v == nil || v.kind != taken && v.kind != moved || int(origin.Index) >= len(v.outputs) {
		o.w.rule("output", "an output to %s has the origin %s, which has no such output", s.topic, text)
		return
	}
	want := v.outputs[origin.Index]
	if want.Log != s.topic || want.Key != r.key || !bytes.Equal(want.Value, r.value) ||
		broker.Partition([]byte(r.key), o.w.shape.partitions) != s.partition || !sameHeaders(r.headers, v.headers(origin, want)) {
		o.w.rule("output", "the output %s to %s/%d of %q is another than the log says: %x, want %x for %q; headers %s", text, s.topic, s.partition, r.key, r.value, want.Value, want.Key, r.headers)
	}
}

// checkLetter: a letter is of a message that no rule takes, and as it came.
func (o *oracle) checkLetter(r *stored) {
	d, err := codecs.DecodeDeadLetter(r.value)
	if err != nil {
		o.w.fail("a dead letter that does not decode: %v", err)
	}
	v := o.verdict(d.Topic, d.Partition, d.Offset)
	if v == nil || v.kind != letter {
		o.w.rule("letter", "%s/%d/%d became a letter: %s", d.Topic, d.Partition, d.Offset, d.Reason)
		return
	}
	m := o.w.shelf(d.Topic, d.Partition).records[d.Offset]
	if string(d.Key) != m.key || !bytes.Equal(d.Value, m.value) || d.NoValue != (m.value == nil) {
		o.w.rule("letter", "the letter of %s/%d/%d is not as it came", d.Topic, d.Partition, d.Offset)
	}
	if v.lettered != nil {
		o.w.count("letters twice")
		if !bytes.Equal(v.lettered.value, r.value) {
			o.w.rule("letter", "the letter of %s/%d/%d comes again, and is another", d.Topic, d.Partition, d.Offset)
		}
	}
}

// checkRow: a row is the fold of its log up to what it applied, and all that its messages sent is in the logs.
func (o *oracle) checkRow(s *shelf, r *stored) {
	log := specs[s.number-len(specs)].log
	v := o.verdict(log, s.partition, r.head.Applied)
	if v == nil || v.kind != taken || v.key != r.key {
		o.w.rule("row", "a row of %q in %s has applied offset %d, which is not a message of it that was taken", r.key, s.topic, r.head.Applied)
		return
	}
	if !bytes.Equal(v.row, r.value) {
		o.w.rule("row", "the row of %q in %s at offset %d is another than the log says", r.key, s.topic, r.head.Applied)
	}
	if i := v.missing(); i >= 0 {
		o.w.rule("outputs before rows", "the row of %q in %s at offset %d is sent before its output %d is there", r.key, s.topic, r.head.Applied, i)
	}
	noted, err := codecs.DecodeTaken(r.header(codecs.HeaderTaken))
	if err != nil {
		o.w.fail("the header taken of %q: %v", r.key, err)
	}
	for i, t := range noted {
		o.checkTaken(log, s, r, t)
		if i > 0 && t.Offset <= noted[i-1].Offset || t.Offset > r.head.Applied {
			o.w.rule("taken", "the row of %q in %s says that it took offset %d after %d", r.key, s.topic, t.Offset, r.head.Applied)
		}
	}
}

// checkTaken: the header of a row says of a message what the log says.
func (o *oracle) checkTaken(log string, s *shelf, r *stored, t codecs.Taken) {
	v := o.verdict(log, s.partition, t.Offset)
	if v == nil || v.kind != taken || v.key != r.key || v.refusal != t.Refusal || !sameOrigin(v.origin, t.Origin) || len(v.outputs) != len(t.Sent) {
		o.w.rule("taken", "the row of %q in %s says of offset %d what the log does not: %+v", r.key, s.topic, t.Offset, t)
		return
	}
	for i, sent := range t.Sent {
		if out := v.outputs[i]; out.Log != sent.Log || out.Key != sent.Key {
			o.w.rule("taken", "the row of %q in %s says that offset %d sent %+v, which went to %s", r.key, s.topic, t.Offset, sent, out.Log)
		}
	}
}

func sameOrigin(a, b *codecs.Origin) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// missing returns the first output that is in no log, -1 if there is none.
func (v *verdict) missing() int {
	if len(v.outputs) == 0 {
		return -1
	}
	if v.landed == nil {
		return 0
	}
	return slices.Index(v.landed, nil)
}

// headers are those of an output.
func (v *verdict) headers(o codecs.Origin, out engine.Output) (hs []header) {
	origin := codecs.EncodeOrigin(o)
	add := func(key string, value []byte) { hs = append(hs, header{Key: key, Value: value}) }
	add(codecs.HeaderOrigin, origin)
	add(codecs.HeaderID, origin)
	add(codecs.HeaderType, []byte("stockflow."+out.Type))
	add(codecs.HeaderSource, []byte("/stockflow/"+specs[topicNumbers[o.Log]].name))
	add(codecs.HeaderTime, []byte(time.UnixMilli(v.at).UTC().Format(time.RFC3339Nano)))
	add(codecs.HeaderSpecVersion, []byte(codecs.SpecVersion))
	add(codecs.HeaderContentType, []byte(codecs.ContentTypeProtobuf))
	if v.kind == moved && v.redrive != nil {
		add(codecs.HeaderRedrive, v.redrive)
	}
	if v.trace != nil {
		add(codecs.HeaderTraceParent, v.trace)
	}
	return hs
}

// describe says what a record is, for the trace.
func (w *world) describe(s *shelf, r stored) string {
	if !w.tracing {
		return ""
	}
	switch {
	case r.marker:
		return "a marker"
	case s.number < len(specs):
		shown, err := processors.Show(s.topic, r.value)
		what := shown.Event
		if err != nil {
			what = "what no one can read"
		}
		return fmt.Sprintf("%s of %q (origin %q redrive %q)", what, r.key, r.header(codecs.HeaderOrigin), r.header(codecs.HeaderRedrive))
	case s.topic == engine.DeadLetters:
		return "a letter"
	}
	return fmt.Sprintf("the row of %q at %d", r.key, r.head.Applied)
}
