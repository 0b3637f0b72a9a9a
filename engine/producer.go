package engine

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
)

// maxRecord is the largest value that is handed to the client. What is larger is refused before, as an error of
// the broker would come when later records are already under way.
const maxRecord = 3 << 20

// maxDeadLetter is the same for dead letters, which must hold whatever a log could.
const maxDeadLetter = 7 << 20

// producer is the goka.Producer of an instance.
// Outputs go out at once; rows wait in their worker. After the first error it refuses everything.
type producer struct {
	*instance
	client  outlet
	letters outlet // one of its own, for the size of its records
}

// outlet is what the engine needs of a broker.Producer.
type outlet interface {
	Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error))
	Close()
}

// buildProducer is goka's producer builder.
func (i *instance) buildProducer([]string, string, func() hash.Hash32) (goka.Producer, error) {
	client, err := i.conn.Producer(maxRecord)
	if err != nil {
		return nil, err
	}
	letters, err := i.conn.Producer(maxDeadLetter)
	if err != nil {
		client.Close()
		return nil, err
	}
	p := &producer{instance: i, client: client, letters: letters}
	i.mu.Lock()
	i.producer = p
	i.mu.Unlock()
	return p, nil
}

// errPastEngine is what goka gets if it ever sends anything by itself.
var errPastEngine = errors.New("nothing is sent but by the engine")

// Emit implements goka.Producer, and refuses: outputs and rows are sent by deliveries, in the order that the engine wants.
func (p *producer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

// EmitWithHeaders implements goka.Producer as Emit does.
func (p *producer) EmitWithHeaders(string, string, []byte, goka.Headers) *goka.Promise {
	_, finish := goka.NewPromiseWithFinisher()
	return finish(nil, errPastEngine)
}

func checkSize[K string | []byte](topic string, key K, value []byte) error {
	limit := maxRecord
	if topic == DeadLetters {
		limit = maxDeadLetter
	}
	if len(value) > limit {
		return fmt.Errorf("a record of %d bytes for %s with key %q: at most %d are sent", len(value), topic, key, limit)
	}
	return nil
}

// sendOutput sends an output of a message of a worker's. done is as for worker.emit; it is told of every error, too.
func (p *producer) sendOutput(l *worker, record *kgo.Record, done func(error)) error {
	err := p.failed()
	if err == nil {
		err = checkSize(record.Topic, record.Key, record.Value)
	}
	if err != nil {
		return err
	}
	seq, err := l.emit(done)
	if err != nil {
		return err
	}
	client := p.client
	if record.Topic == DeadLetters {
		client = p.letters
	}
	client.Produce(p.sending, record, func(r *kgo.Record, err error) {
		if err != nil {
			p.fail(fmt.Errorf("sending to %s/%d: %w", r.Topic, r.Partition, err)) // which tells everyone who waits in a worker
			return
		}
		l.emitted(seq)
	})
	return nil
}

// What is the same in all outputs.
var (
	specVersion = []byte(codecs.SpecVersion)
	contentType = []byte(codecs.ContentTypeProtobuf)
)

// cloudEvent is the headers of an output, a CloudEvent in binary mode. Its id is the origin and its time that of the
// message it came from, so a repeat after a crash is the same event.
func (i *instance) cloudEvent(o codecs.Origin, typ string, at int64) []kgo.RecordHeader {
	b := codecs.AppendOrigin(make([]byte, 0, 128), o) // all values one after the other
	origin := len(b)
	b = append(append(b, "stockflow."...), typ...)
	name := len(b)
	b = appendTime(b, at)
	return append(make([]kgo.RecordHeader, 0, 9), // with room for two more
		kgo.RecordHeader{Key: codecs.HeaderOrigin, Value: b[:origin:origin]},
		kgo.RecordHeader{Key: codecs.HeaderID, Value: b[:origin:origin]},
		kgo.RecordHeader{Key: codecs.HeaderType, Value: b[origin:name:name]},
		kgo.RecordHeader{Key: codecs.HeaderSource, Value: i.eventSource},
		kgo.RecordHeader{Key: codecs.HeaderTime, Value: b[name:]},
		kgo.RecordHeader{Key: codecs.HeaderSpecVersion, Value: specVersion},
		kgo.RecordHeader{Key: codecs.HeaderContentType, Value: contentType},
	)
}

// sendRow sends a row that no longer has to wait. The worker's goroutine calls it.
func (i *instance) sendRow(l *worker, h *held) {
	if err := i.failed(); err != nil {
		l.resolve(h, err)
		return
	}
	h.record = kgo.Record{Topic: i.table, Partition: l.partition, Key: []byte(h.key), Value: h.value}
	if len(h.taken) > 0 {
		h.header[0] = kgo.RecordHeader{Key: codecs.HeaderTaken, Value: h.taken}
		h.record.Headers = h.header[:]
	}
	rowGoes()
	i.producer.client.Produce(i.sending, &h.record, func(r *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("sending a row to %s/%d: %w", i.table, l.partition, err)
			i.fail(err)
			return
		}
		l.acknowledged(h, r.Offset)
	})
}

// Close gives up what is still buffered: goka has waited for what it could.
func (p *producer) Close() error {
	p.fail(errEnded)
	p.client.Close()
	p.letters.Close()
	return nil
}

// appendTime appends a message's time as a CloudEvent says it: from the log and not from a clock, so that a repeat after a
// crash is the same.
func appendTime(b []byte, at int64) []byte {
	return time.UnixMilli(at).UTC().AppendFormat(b, time.RFC3339Nano)
}
