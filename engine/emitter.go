package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// Emitter writes messages from outside into the logs. Safe for concurrent use.
type Emitter struct {
	conn       broker.Connection
	client     *kgo.Client
	partitions int32
	room       func() error
	reach      reach
	uptake     *uptake
}

// Position is where a record landed.
type Position struct {
	Partition int32
	Offset    int64
}

// emitPatience is how long Emit waits for the log's acknowledgement.
const emitPatience = 4 * time.Second

var (
	// ErrUnknown says that a message was sent and not acknowledged in time: the log may have it, or get it yet.
	ErrUnknown = errors.New("the log has not acknowledged the message")
	// ErrUnreachable says that a message was not sent.
	ErrUnreachable = errors.New("the log can't be reached")
)

// NewEmitter returns an emitter for logs with so many partitions.
//
// Its client goes on where a group's stops for good: after an answer that a record doesn't follow on those before, as after the loss of some. A
// group is built anew then, and an emitter lives as long as the process. It may go on: its messages are of people who don't know of each other,
// so none needs the one before it. The client numbers anew and sends the record again, which a partition that had it would
// have acknowledged as a repeat.
func NewEmitter(conn broker.Connection, partitions int32) (*Emitter, error) {
	client, err := conn.Client(sendingOptions(maxRecord)...)
	if err != nil {
		return nil, err
	}
	e := &Emitter{conn: conn, client: client, partitions: partitions, room: func() error { return nil }, uptake: newUptake()}
	e.reach.open(e.Reach)
	return e, nil
}

// Heed has Emit ask room before it sends anything. While that returns an error, nothing is sent: whoever would wait
// for a log that takes nothing is told so at once. It is to be called before the emitter is used.
func (e *Emitter) Heed(room func() error) { e.room = room }

// Emit sends a message and waits until the log has it on all its replicas. Its errors are ErrUnknown and
// ErrUnreachable; it answers within 4 seconds, and at once while it is known that no broker answers or that the
// message's partition takes nothing.
func (e *Emitter) Emit(ctx context.Context, o Output, headers ...codecs.Header) (Position, error) {
	if err := checkSize(o.Log, o.Key, o.Value); err != nil {
		return Position{}, errors.Join(ErrUnreachable, err)
	}
	to := source{o.Log, broker.Partition([]byte(o.Key), e.partitions)}
	if err := e.admit(to); err != nil {
		return Position{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	record := &kgo.Record{Topic: to.log, Partition: to.partition, Key: []byte(o.Key), Value: o.Value}
	for _, h := range headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	result := make(chan error, 1)
	// A record whose batch may have left is not taken back, whatever becomes of the caller: a context of the
	// caller's would fail its neighbours in the buffer.
	e.client.TryProduce(context.WithoutCancel(ctx), record, func(_ *kgo.Record, err error) {
		e.uptake.leave(to, err, time.Now()) // first, so that whoever is answered finds it so
		result <- err
	})
	patience := time.NewTimer(emitPatience)
	defer patience.Stop()
	select {
	case err := <-result:
		return positionOf(record, err)
	case <-patience.C:
		e.reach.doubt()
	case <-ctx.Done():
	}
	return Position{}, fmt.Errorf("%w: %s within %s", ErrUnknown, o.Log, emitPatience)
}

// admit counts a record that is about to be sent, or says why it can't be.
func (e *Emitter) admit(to source) error {
	if err := cmp.Or(e.room(), e.reach.lost()); err != nil {
		return err
	}
	return e.uptake.enter(to, time.Now())
}

// Waiting says what keeps messages from being written, one line each; nothing while nothing is known to. It takes at most a second.
func (e *Emitter) Waiting() []string {
	if err := e.Reach(); err != nil {
		return []string{fmt.Sprintf("the broker can't be reached: %v", err)}
	}
	return e.uptake.waiting(time.Now())
}

func positionOf(r *kgo.Record, err error) (Position, error) {
	switch {
	case err == nil:
		return Position{Partition: r.Partition, Offset: r.Offset}, nil
	case notSent(err):
		return Position{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return Position{}, fmt.Errorf("%w: %w", ErrUnknown, err)
}

// Close waits for what is under way, for at most the time that Emit does, and ends the connections.
func (e *Emitter) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), emitPatience)
	defer cancel()
	e.reach.close()
	_ = e.client.Flush(ctx) // what could not be flushed was answered as unknown
	e.client.Close()
}
