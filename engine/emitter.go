package engine

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// Emitter writes messages from outside into the logs. Safe for concurrent use.
type Emitter struct {
	writer     broker.Writer
	partitions int32
}

// Position is where a record landed.
type Position struct {
	Partition int32
	Offset    int64
}

// What Emit returns when a message is not known to be in its log.
var (
	ErrUnknown     = broker.ErrUnknown
	ErrUnreachable = broker.ErrUnreachable
)

// NewEmitter returns an emitter for logs with so many partitions.
func NewEmitter(conn broker.Broker, partitions int32) (*Emitter, error) {
	writer, err := conn.Writer()
	if err != nil {
		return nil, err
	}
	return &Emitter{writer: writer, partitions: partitions}, nil
}

// Emit sends a message and waits until the log has it for good. Its errors are ErrUnknown and ErrUnreachable; it answers
// within some seconds, and at once while it is known that the message's partition takes nothing.
func (e *Emitter) Emit(ctx context.Context, o Output, headers ...codecs.Header) (Position, error) {
	if err := checkSize(o.Log, o.Key, o.Value); err != nil {
		return Position{}, errors.Join(ErrUnreachable, err)
	}
	record := &kgo.Record{
		Topic: o.Log, Partition: broker.Partition([]byte(o.Key), e.partitions), Key: []byte(o.Key), Value: o.Value,
	}
	for _, h := range headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if err := e.writer.Write(ctx, record); err != nil {
		return Position{}, err
	}
	return Position{Partition: record.Partition, Offset: record.Offset}, nil
}

// Waiting says what keeps messages from being written, one line each; nothing while nothing is known to. It takes at most a second.
func (e *Emitter) Waiting() []string { return e.writer.Waiting() }

// Close waits for a moment for what is under way.
func (e *Emitter) Close() { e.writer.Close() }
