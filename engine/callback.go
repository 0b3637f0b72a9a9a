package engine

import (
	"bytes"
	"context"
	"errors"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// DeadLetters is the log of messages that could not be taken.
const DeadLetters = "dead-letters"

// raw is a goka codec that leaves bytes alone: decoding here would end the processor at the first bad message.
type raw struct{}

func (raw) Encode(value any) ([]byte, error) { return value.([]byte), nil }
func (raw) Decode(data []byte) (any, error)  { return data, nil }

// processing is the goka callback of one instance of a machine.
type processing[S any] struct {
	machine  Machine[S]
	instance *instance
}

// graph is the group as goka sees it. Own log and dead letters are outputs too: messages on a wrong partition are
// moved, and those that can't be taken are put aside.
func (w *processing[S]) graph() *goka.GroupGraph {
	m := w.machine
	edges := []goka.Edge{
		goka.Input(goka.Stream(m.Log), raw{}, w.process),
		goka.Persist(raw{}),
		goka.Output(goka.Stream(m.Log), raw{}),
		goka.Output(DeadLetters, raw{}),
	}
	for _, log := range m.Sends {
		edges = append(edges, goka.Output(goka.Stream(log), raw{}))
	}
	return goka.DefineGroup(goka.Group(m.Group), edges...)
}

// process takes in one message. Whatever happens, it is either taken, dropped as a repeat, moved, made a dead
// letter, or never marked as done.
func (w *processing[S]) process(ctx goka.Context, value any) {
	m := messageOf(ctx, value)
	if m.Value == nil {
		if u := w.instance.conn.Unreadable(broker.TopicPartition{Topic: w.machine.Log, Partition: m.Partition}, m.Offset); u != nil {
			m.Unreadable = u.Error()
		}
	}
	err := w.receive(m)
	var p halted
	if errors.As(err, &p) { // the callback stays until the session ends, or the message is to be skipped
		err = w.awaitSkip(m, p)
	}
	if err != nil && w.instance.flaws.failSoft {
		ctx.Fail(err)
	}
}

// message is a message of the machine's log, with what its delivery needs of whoever delivers it. It is goka that
// does, and in the simulation a hand.
type message struct {
	Record
	headers map[string][]byte
	session context.Context // ends when the partition may be somebody else's
	from    deliverer
}

// deliverer is whoever delivered a message. It takes the message for done when its callback has returned.
type deliverer interface {
	// DeferCommit keeps the message from being done until done is called.
	DeferCommit() (done func(error))
}

func messageOf(ctx goka.Context, value any) message {
	h := ctx.Headers()
	v, _ := value.([]byte)
	return message{
		Record: Record{
			Partition: ctx.Partition(), Offset: ctx.Offset(), At: ctx.Timestamp().UnixMilli(),
			Key: ctx.Key(), Value: v, Origin: h[codecs.HeaderOrigin], Redrive: h[codecs.HeaderRedrive],
		},
		headers: h, session: ctx.Context(), from: ctx,
	}
}

// halted says that the partition stops at this message, and why.
type halted struct{ reason string }

func (p halted) Error() string { return "the partition has stopped: " + p.reason }

// receive is process without goka.
func (w *processing[S]) receive(m message) error {
	l := w.instance.worker(m.Partition)
	if l == nil { // its session is over, so nothing is marked
		w.instance.fail(errEnded)
		return nil
	}
	if !l.deliver(m.Offset, m.At) {
		return nil
	}
	if w.instance.flaws.commitEarly {
		_ = w.instance.conn.Commit(m.session, w.machine.Group, map[broker.TopicPartition]int64{{Topic: w.machine.Log, Partition: m.Partition}: m.Offset + 1})
	}
	d := delivery[S]{processing: w, message: m, worker: l}
	return d.settle(d.take())
}

// settle ends this life at an error, unless the partition stops.
func (d *delivery[S]) settle(err error) error {
	if err != nil && !errors.As(err, new(halted)) && !d.instance.flaws.failSoft {
		// The message is not done, nor is any after it; goka would commit it when it is stopping already.
		d.worker.halt(d.Offset)
		if d.session.Err() == nil { // or else the partition is about to be somebody's who takes the message
			d.instance.fail(err)
		}
	}
	return err
}

// awaitSkip waits until the partition is to go on behind a message that it has stopped at, and puts that aside.
func (w *processing[S]) awaitSkip(m message, p halted) error {
	skip, asked := w.instance.skips.await(m.session, w.machine.Log, m.Partition, m.Offset)
	l := w.instance.worker(m.Partition)
	if !asked || l == nil {
		<-m.session.Done()
		return nil
	}
	w.instance.log.Warn("the partition goes on behind a message that it was told to skip", "topic", w.machine.Log, "partition", m.Partition, "offset", m.Offset, "reason", p.reason)
	l.resume(m.Offset)
	w.instance.resume(m.Partition)
	d := delivery[S]{processing: w, message: m, worker: l}
	return d.settle(d.letter(p.reason, &codecs.Skip{Asked: skip.Asked, Done: true}))
}

// delivery is one message on its way into its row.
type delivery[S any] struct {
	*processing[S]
	message
	worker *worker
	sent   int32 // outputs so far
}

func (d *delivery[S]) take() error {
	if skip, asked := d.instance.skips.find(d.machine.Log, d.Partition, d.Offset); asked && skip.Done {
		return d.letter(SkippedReason, &skip) // a repeat of the letter that there is
	}
	in, ruling, err := d.machine.Admit(d.Record, d.instance.partitions, func(o codecs.Origin) (bool, error) {
		return d.instance.ends.has(d.session, o)
	})
	if err != nil {
		return err
	}
	switch ruling.Disposition {
	case DeadLettered:
		return d.letter(ruling.Reason, nil)
	case Moved:
		return d.move(in)
	case Halt:
		return d.halt(ruling.Reason)
	}
	return d.fold(in)
}

// fold takes the message into its row: outputs first, then the row, which the producer holds back until the
// outputs are acknowledged. The worker's store is asked for the row and not goka's context, which makes no row of a read
// that failed while the session ends: the message would be folded into nothing.
func (d *delivery[S]) fold(in Incoming) error {
	d.worker.folding.Lock()
	defer d.worker.folding.Unlock()
	data, err := d.worker.store.Get(in.Key)
	if err != nil {
		return err
	}
	row, err := d.machine.RowOf(in.Key, data)
	if err != nil {
		return d.halt(err.Error())
	}
	next, res, ruling := d.machine.Decide(row, in)
	switch ruling.Disposition {
	case Repeat:
		d.instance.metrics.repeats.Inc()
		return nil
	case DeadLettered:
		return d.letter(ruling.Reason, nil)
	case Halt:
		d.instance.log.Error("a machine panicked", "topic", d.machine.Log, "partition", in.Partition, "offset", in.Offset, "panic", ruling.Reason, "stack", ruling.Stack)
		return d.halt(ruling.Reason)
	}
	if d.instance.flaws.forgetSeen && bytes.Equal(d.machine.EncodeRow(next.Head, next.State), d.machine.EncodeRow(next.Head, row.State)) {
		next.Seen = row.Seen
	}
	return d.keep(in, row, next, res)
}

// keep sends the outputs of a message that was taken, and its row.
func (d *delivery[S]) keep(in Incoming, row, next Row[S], res Result[S]) error {
	taken := codecs.Taken{Offset: in.Offset, Refusal: res.Refusal, Origin: in.Origin}
	if n := len(res.Outputs); n > 0 {
		taken.Sent = make([]codecs.Sent, n)
	}
	for i, o := range res.Outputs {
		if err := d.emit(o.Log, o.Key, o.Type, o.Value, nil, nil); err != nil {
			return err
		}
		taken.Sent[i] = codecs.Sent{Log: o.Log, Key: o.Key}
	}
	if err := d.set(in.Key, d.machine.EncodeRow(next.Head, next.State), taken); err != nil {
		return err
	}
	d.instance.metrics.messages.Inc()
	if d.machine.Observe != nil {
		d.machine.Observe(row.State, in, res)
	}
	return nil
}

// set sets the row of key and hands its changelog record to the worker. The message is done when the changelog has it,
// for it then has, in their logs, all outputs that were emitted before.
func (d *delivery[S]) set(key string, value []byte, taken codecs.Taken) error {
	if err := checkSize(d.machine.Table, key, value); err != nil {
		return err
	}
	h := &held{key: key, row: row{value}, value: value, taken: codecs.EncodeTaken([]codecs.Taken{taken})}
	h.set = &h.row
	if err := d.worker.store.set(key, h.set); err != nil {
		return err
	}
	if err := d.worker.hold(h); err != nil {
		return err
	}
	if !d.worker.has(h) { // on a journal it has, and the message is done when its callback returns
		d.worker.tell(h, d.from.DeferCommit())
	}
	return nil
}

// emit sends an output with its origin, which is this message and the output's place among its outputs. more are
// headers beside those that every output has; done is as for worker.emit.
func (d *delivery[S]) emit(log, key, typ string, value []byte, more []kgo.RecordHeader, done func(error)) error {
	return d.emitTo(broker.Partition([]byte(key), d.instance.partitions), log, key, typ, value, more, done)
}

// emitTo is emit to a partition that isn't the key's.
func (d *delivery[S]) emitTo(partition int32, log, key, typ string, value []byte, more []kgo.RecordHeader, done func(error)) error {
	origin := codecs.Origin{Log: d.machine.Log, Partition: d.Partition, Offset: d.Offset, Index: d.sent}
	d.sent++
	headers := append(d.instance.cloudEvent(origin, typ, d.At), more...)
	if trace := d.headers[codecs.HeaderTraceParent]; trace != nil {
		headers = append(headers, kgo.RecordHeader{Key: codecs.HeaderTraceParent, Value: trace})
	}
	return d.instance.producer.sendOutput(d.worker, &kgo.Record{
		Topic: log, Key: []byte(key), Value: value, Headers: headers, Partition: partition,
	}, done)
}

// emitLast sends an output that no row follows: the message is done when the log has it.
func (d *delivery[S]) emitLast(log, key, typ string, value []byte, more ...kgo.RecordHeader) error {
	return d.deferred(func(done func(error)) error { return d.emit(log, key, typ, value, more, done) })
}

// deferred keeps the message from being taken for done before done is called. An error of start is told to goka too,
// which waits for every message at the end of a session.
func (d *delivery[S]) deferred(start func(done func(error)) error) error {
	done := d.from.DeferCommit()
	err := start(done)
	if err != nil {
		done(err)
	}
	return err
}

// move sends a message to the partition of its key. It is taken there, once: its origin says which message it was, or
// its redrive id, which it keeps, as there may be more messages of it.
func (d *delivery[S]) move(in Incoming) error {
	d.instance.metrics.moved.Inc()
	var more []kgo.RecordHeader
	if d.Redrive != nil {
		more = append(more, kgo.RecordHeader{Key: codecs.HeaderRedrive, Value: d.Redrive})
	}
	return d.emitLast(d.machine.Log, in.Key, in.Type, d.Value, more...)
}

// halt stops this partition, and this one alone, at this message: it and those after it wait in the log for a
// program that can take them.
func (d *delivery[S]) halt(reason string) error {
	d.worker.halt(d.Offset)
	d.instance.halt(d.Record, reason)
	return halted{reason}
}
