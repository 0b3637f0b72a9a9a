package engine

import (
	"cmp"
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

// maxLetter is the same for dead letters, which must hold whatever a log could.
const maxLetter = 7 << 20

// producer is the goka.Producer of an instance, on franz-go: idempotent, in order, acknowledged by all replicas.
// Outputs go out at once; rows wait in their lane. After the first error it refuses everything.
type producer struct {
	*instance
	client  outlet
	letters outlet // a client of its own, as it needs a larger batch size
}

// outlet is a client of the broker, as franz-go's is one: what is produced to a partition arrives there in this order
// and without a hole, until the first error. It may block, but for those who call from a promise: they freeze it. Once
// ctx has ended nothing that waited is taken.
type outlet interface {
	Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error))
	Close()
}

// buildProducer is goka's producer builder.
func (i *instance) buildProducer([]string, string, func() hash.Hash32) (goka.Producer, error) {
	client, err := newRoomy(i.conn, maxBuffered, producerOptions(maxRecord)...)
	if err != nil {
		return nil, err
	}
	letters, err := newRoomy(i.conn, maxBuffered, producerOptions(maxLetter)...)
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

// producerOptions are of those whose records must arrive without a hole: after a loss nothing more is sent.
func producerOptions(largest int) []kgo.Opt {
	return append(sendingOptions(largest), kgo.StopProducerOnDataLossDetected())
}

// sendingOptions leave the retries without limit: an outage is waited out, and what must end ends by its context. A
// broker that has just started may not know its topics yet, so that is waited out, too.
func sendingOptions(largest int) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(int32(largest + 64<<10)),
		kgo.MaxBufferedRecords(maxBuffered + 1), // it still counts a record when its promise is through
		kgo.UnknownTopicRetries(-1),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}
}

// maxBuffered is how many records an outlet holds before Produce blocks; a variable for tests, which make it small.
var maxBuffered = 10_000

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

func checkSize(topic, key string, value []byte) error {
	limit := maxRecord
	if topic == Letters {
		limit = maxLetter
	}
	if len(value) > limit {
		return fmt.Errorf("a record of %d bytes for %s with key %q: at most %d are sent", len(value), topic, key, limit)
	}
	return nil
}

// sendOutput sends an output of a message of a lane's. done is as for lane.emit; it is told of every error, too.
func (p *producer) sendOutput(l *lane, record *kgo.Record, done func(error)) error {
	if err := cmp.Or(p.failed(), checkSize(record.Topic, string(record.Key), record.Value)); err != nil {
		return err
	}
	seq, err := l.emit(done)
	if err != nil {
		return err
	}
	client := p.client
	if record.Topic == Letters {
		client = p.letters
	}
	client.Produce(p.sending, record, func(r *kgo.Record, err error) {
		if err != nil {
			p.fail(fmt.Errorf("sending to %s/%d: %w", r.Topic, r.Partition, err)) // which tells everyone who waits in a lane
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
	origin := codecs.EncodeOrigin(o)
	return []kgo.RecordHeader{
		{Key: codecs.HeaderOrigin, Value: origin},
		{Key: codecs.HeaderID, Value: origin},
		{Key: codecs.HeaderType, Value: append(append(make([]byte, 0, 32), "stockflow."...), typ...)},
		{Key: codecs.HeaderSource, Value: i.eventSource},
		{Key: codecs.HeaderTime, Value: timeOf(at)},
		{Key: codecs.HeaderSpecVersion, Value: specVersion},
		{Key: codecs.HeaderContentType, Value: contentType},
	}
}

// sendRow sends a row that no longer has to wait. The lane's goroutine calls it.
func (i *instance) sendRow(l *lane, h *held) {
	if err := i.failed(); err != nil {
		h.resolve(err)
		return
	}
	record := &kgo.Record{Topic: i.table, Partition: l.partition, Key: []byte(h.key), Value: h.value}
	if len(h.taken) > 0 {
		record.Headers = []kgo.RecordHeader{{Key: codecs.HeaderTaken, Value: h.taken}}
	}
	i.producer.client.Produce(i.sending, record, func(r *kgo.Record, err error) {
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

// timeOf is a message's time as a CloudEvent says it: from the log and not from a clock, so that a repeat after a
// crash is the same.
func timeOf(at int64) []byte {
	return time.UnixMilli(at).UTC().AppendFormat(make([]byte, 0, 32), time.RFC3339Nano)
}
