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
	client     *kgo.Client
	partitions int32
	room       func() error
	reach      reach
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
func NewEmitter(conn broker.Connection, partitions int32) (*Emitter, error) {
	client, err := conn.Client(producerOptions(maxRecord)...)
	if err != nil {
		return nil, err
	}
	e := &Emitter{client: client, partitions: partitions, room: func() error { return nil }}
	e.reach.open(e.Reach)
	return e, nil
}

// Heed has Emit ask room before it sends anything. While that returns an error, nothing is sent: whoever would wait
// for a log that takes nothing is told so at once. It is to be called before the emitter is used.
func (e *Emitter) Heed(room func() error) { e.room = room }

// Emit sends a message and waits until the log has it on all its replicas. Its errors are ErrUnknown and
// ErrUnreachable; it answers within 4 seconds, and at once while it is known that no broker answers.
func (e *Emitter) Emit(ctx context.Context, o Output, headers ...codecs.Header) (Position, error) {
	if err := checkSize(o.Log, o.Key, o.Value); err != nil {
		return Position{}, errors.Join(ErrUnreachable, err)
	}
	if err := cmp.Or(e.room(), e.reach.lost()); err != nil {
		return Position{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	record := &kgo.Record{
		Topic: o.Log, Key: []byte(o.Key), Value: o.Value,
		Partition: broker.Partition([]byte(o.Key), e.partitions),
	}
	for _, h := range headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	result := make(chan error, 1)
	// A record whose batch may have left is not taken back, whatever becomes of the caller: a context of the
	// caller's would fail its neighbours in the buffer.
	e.client.TryProduce(context.WithoutCancel(ctx), record, func(_ *kgo.Record, err error) { result <- err })
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

func positionOf(r *kgo.Record, err error) (Position, error) {
	switch {
	case err == nil:
		return Position{Partition: r.Partition, Offset: r.Offset}, nil
	case errors.Is(err, kgo.ErrMaxBuffered), errors.Is(err, kgo.ErrClientClosed):
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
