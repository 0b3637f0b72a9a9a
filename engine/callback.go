package engine

import (
	"fmt"
	"runtime/debug"

	"github.com/lovoo/goka"

	"stockflow/broker"
	"stockflow/codecs"
)

// Letters is the log of messages that could not be taken.
const Letters = "dead-letters"

// raw is a goka codec that leaves bytes alone: decoding here would end the processor at the first bad message.
type raw struct{}

func (raw) Encode(value any) ([]byte, error) { return value.([]byte), nil }
func (raw) Decode(data []byte) (any, error)  { return data, nil }

// worker is the goka callback of one instance of a machine.
type worker[S any] struct {
	machine  Machine[S]
	instance *instance
}

// graph is the group as goka sees it. Own log and dead letters are outputs too: messages on a wrong partition are
// moved, and those that can't be taken are put aside.
func (w worker[S]) graph() *goka.GroupGraph {
	m := w.machine
	edges := []goka.Edge{
		goka.Input(goka.Stream(m.Log), raw{}, w.process),
		goka.Persist(raw{}),
		goka.Output(goka.Stream(m.Log), raw{}),
		goka.Output(Letters, raw{}),
	}
	for _, log := range m.Sends {
		edges = append(edges, goka.Output(goka.Stream(log), raw{}))
	}
	return goka.DefineGroup(goka.Group(m.Group), edges...)
}

// process takes in one message. Whatever happens, it is either taken, dropped as a repeat, moved, made a dead
// letter, or never marked as done.
func (w worker[S]) process(ctx goka.Context, value any) {
	l := w.instance.lane(ctx.Partition())
	if l == nil { // its session is over, so nothing is marked
		w.instance.fail(errEnded)
		return
	}
	if !l.deliver(ctx.Offset(), ctx.Timestamp().UnixMilli()) {
		return
	}
	d := delivery[S]{worker: w, ctx: ctx, lane: l, record: recordOf(ctx, value)}
	if err := d.take(); err != nil {
		if w.instance.flaws.failSoft {
			ctx.Fail(err)
			return
		}
		// The message is not done, nor is any after it; goka would commit it when it is stopping already.
		l.halt(ctx.Offset())
		w.instance.fail(err)
	}
}

func recordOf(ctx goka.Context, value any) Record {
	h := ctx.Headers()
	v, _ := value.([]byte)
	return Record{
		Partition: ctx.Partition(), Offset: ctx.Offset(), At: ctx.Timestamp().UnixMilli(),
		Key: ctx.Key(), Value: v, Origin: h[codecs.HeaderOrigin], Redrive: h[codecs.HeaderRedrive],
	}
}

// delivery is one message in its callback.
type delivery[S any] struct {
	worker[S]
	ctx    goka.Context
	lane   *lane
	record Record
	sent   int32 // outputs so far
}

func (d *delivery[S]) take() error {
	in, unreadable := d.machine.Read(d.record)
	if unreadable != nil {
		return d.putAside(unreadable)
	}
	if in.Origin != nil {
		ok, err := d.instance.ends.has(d.ctx.Context(), *in.Origin)
		if err != nil {
			return err
		}
		if !ok {
			return d.letter(fmt.Sprintf("origin %s: the log ends before it", d.record.Origin))
		}
	}
	if broker.Partition([]byte(in.Key), d.instance.partitions) != in.Partition || d.record.Key == "" {
		return d.move(in)
	}
	return d.fold(in)
}

// putAside deals with a message that can't be read.
func (d *delivery[S]) putAside(u *Unreadable) error {
	if u.Halt {
		d.park(u.Reason)
		return nil
	}
	return d.letter(u.Reason)
}

// fold takes the message into its row: outputs first, then the row, which the producer holds back until the
// outputs are acknowledged.
func (d *delivery[S]) fold(in Incoming) error {
	data, err := d.lane.store.Get(in.Key)
	if err != nil {
		return err
	}
	row, err := d.rowOf(in.Key, data)
	if err != nil {
		d.park(err.Error())
		return nil
	}
	if row.Has(in) {
		d.instance.metrics.repeats.Inc()
		return nil
	}
	next, res, err := d.apply(row, in)
	if err != nil {
		d.park(err.Error())
		return nil
	}
	if res.Unfit != "" {
		return d.letter(res.Unfit)
	}
	taken := codecs.Taken{Offset: in.Offset, Refusal: res.Refusal, Origin: in.Origin}
	for _, o := range res.Outputs {
		d.emit(o.Log, o.Key, o.Type, o.Value, nil)
		taken.Sent = append(taken.Sent, codecs.Sent{Log: o.Log, Key: o.Key})
	}
	d.ctx.SetValue(d.machine.EncodeRow(next.Head, next.State), goka.WithCtxEmitHeaders(goka.Headers{
		codecs.HeaderTaken: codecs.EncodeTaken([]codecs.Taken{taken}),
	}))
	d.instance.metrics.messages.Inc()
	if d.machine.Observe != nil {
		d.machine.Observe(row.State, in, res)
	}
	return nil
}

// rowOf decodes the row of a key. The lane's store is asked for it and not goka's context, which makes no row of a
// read that failed while the session ends: the message would be folded into nothing.
func (d *delivery[S]) rowOf(key string, data []byte) (Row[S], error) {
	if data == nil {
		return NoRow[S](), nil
	}
	head, state, err := d.machine.DecodeRow(data)
	if err != nil {
		return Row[S]{}, fmt.Errorf("the row of %q in %s does not decode: %w", key, d.machine.Table, err)
	}
	return Row[S]{head, state}, nil
}

// apply folds, and makes a panic of Apply an error: the partition stops there until a program comes that can.
func (d *delivery[S]) apply(row Row[S], in Incoming) (next Row[S], res Result[S], err error) {
	defer func() {
		if p := recover(); p != nil {
			d.instance.log.Error("a machine panicked", "topic", d.machine.Log, "partition", in.Partition, "offset", in.Offset, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the machine panicked: %v", p)
		}
	}()
	next, res = d.machine.Fold(row, in)
	return next, res, nil
}

// emit sends an output with its origin, which is this message and the output's place among its outputs. more are
// headers beside those that every output has.
func (d *delivery[S]) emit(log, key, typ string, value []byte, more goka.Headers) {
	headers := goka.Headers{
		codecs.HeaderOrigin: codecs.EncodeOrigin(codecs.Origin{
			Log: d.machine.Log, Partition: d.record.Partition, Offset: d.record.Offset, Index: d.sent,
		}),
		codecs.HeaderType: []byte("stockflow." + typ),
		codecs.HeaderTime: timeOf(d.record.At),
	}
	if trace := d.ctx.Headers()[codecs.HeaderTraceParent]; trace != nil {
		headers[codecs.HeaderTraceParent] = trace
	}
	for k, v := range more {
		headers[k] = v
	}
	d.sent++
	d.ctx.Emit(goka.Stream(log), key, value, goka.WithCtxEmitHeaders(headers))
}

// move sends a message to the partition of its key. It is taken there, once: its origin says which message it was, or
// its redrive id, which it keeps, as there may be more messages of it.
func (d *delivery[S]) move(in Incoming) error {
	if in.Emitted {
		return d.letter(fmt.Sprintf("%s is sent by machines alone, and key %q belongs to another partition", in.Type, in.Key))
	}
	d.instance.metrics.moved.Inc()
	var more goka.Headers
	if d.record.Redrive != nil {
		more = goka.Headers{codecs.HeaderRedrive: d.record.Redrive}
	}
	d.emit(d.machine.Log, in.Key, in.Type, d.record.Value, more)
	return nil
}

// letter puts the message into the dead letters as it came. The stream goes on.
func (d *delivery[S]) letter(reason string) error {
	d.instance.metrics.letters.Inc()
	d.instance.log.Warn("a message became a dead letter", "topic", d.machine.Log, "partition", d.record.Partition, "offset", d.record.Offset, "reason", reason)
	l := codecs.DeadLetter{
		Topic: d.machine.Log, Partition: d.record.Partition, Offset: d.record.Offset, At: d.record.At,
		Key: []byte(d.record.Key), Value: d.record.Value, NoValue: d.record.Value == nil, Reason: reason,
	}
	for k, v := range d.ctx.Headers() {
		l.Headers = append(l.Headers, codecs.Header{Key: k, Value: v})
	}
	sortHeaders(l.Headers)
	value := codecs.EncodeDeadLetter(l)
	if len(value) > maxLetter {
		d.park(fmt.Sprintf("the message is too large for a dead letter: %d bytes", len(value)))
		return nil
	}
	d.emit(Letters, d.record.Key, "dead_letter", value, nil)
	return nil
}

// park stops this partition, and this one alone, at this message: it and those after it wait in the log for a
// program that can take them. The callback stays until the session ends.
func (d *delivery[S]) park(reason string) {
	d.lane.halt(d.record.Offset)
	d.instance.halt(d.record, reason)
	<-d.ctx.Context().Done()
}
