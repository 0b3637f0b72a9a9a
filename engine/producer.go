package engine

import (
	"context"
	"fmt"
	"hash"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
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
	client  *kgo.Client
	letters *kgo.Client // a client of its own, as it needs a larger batch size
}

// buildProducer is goka's producer builder.
func (i *instance) buildProducer([]string, string, func() hash.Hash32) (goka.Producer, error) {
	client, err := i.conn.Client(producerOptions(maxRecord)...)
	if err != nil {
		return nil, err
	}
	letters, err := i.conn.Client(producerOptions(maxLetter)...)
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

// producerOptions leave the retries without limit: an outage is waited out, and what must end ends by its context.
func producerOptions(largest int) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(int32(largest + 64<<10)),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.StopProducerOnDataLossDetected(),
	}
}

// maxBuffered is how many records a client holds before Produce blocks; a variable for tests, which make it small.
var maxBuffered = 10_000

// Emit implements goka.Producer.
func (p *producer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

// EmitWithHeaders implements goka.Producer for the two things that a callback emits: outputs, which carry their
// origin, and the row.
func (p *producer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	promise, finish := goka.NewPromiseWithFinisher()
	if err := p.failed(); err != nil {
		return finish(nil, err)
	}
	if err := checkSize(topic, key, value); err != nil {
		p.fail(err)
		return finish(nil, err)
	}
	if topic == p.table {
		p.holdRow(key, value, headers, finish)
	} else if err := p.sendOutput(topic, key, value, headers, finish); err != nil {
		p.fail(err)
		return finish(nil, err)
	}
	return promise
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

// holdRow hands the row of a callback to its lane.
func (p *producer) holdRow(key string, value []byte, headers goka.Headers, finish goka.PromiseFinisher) {
	l := p.lane(broker.Partition([]byte(key), p.partitions))
	if l == nil {
		finish(nil, errEnded)
		return
	}
	err := l.hold(&held{
		key: key, set: l.store.current(key), value: value, taken: headers[codecs.HeaderTaken],
		finish: []goka.PromiseFinisher{finish},
	})
	if err != nil {
		finish(nil, err)
	}
}

// sendOutput sends an output of a message and tells the lane that the message came by when it is acknowledged.
func (p *producer) sendOutput(topic, key string, value []byte, headers goka.Headers, finish goka.PromiseFinisher) error {
	origin, err := codecs.ParseOrigin(headers[codecs.HeaderOrigin])
	if err != nil {
		return fmt.Errorf("an output to %s: %w", topic, err)
	}
	l := p.lane(origin.Partition)
	if l == nil {
		return errEnded
	}
	seq, err := l.emit(finish)
	if err != nil {
		return err
	}
	client := p.client
	if topic == Letters {
		client = p.letters
	}
	record := &kgo.Record{
		Topic: topic, Key: []byte(key), Value: value,
		Partition: broker.Partition([]byte(key), p.partitions),
		Headers:   p.cloudEvent(headers),
	}
	client.Produce(context.Background(), record, func(r *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("sending to %s/%d: %w", topic, r.Partition, err)
			p.fail(err)
			finish(nil, err)
			return
		}
		l.emitted(seq)
		finish(&sarama.ProducerMessage{Topic: topic, Partition: r.Partition, Offset: r.Offset}, nil)
	})
	return nil
}

// cloudEvent completes the headers of an output to a CloudEvent in binary mode. Its id is the origin, so a repeat
// after a crash is the same event.
func (p *producer) cloudEvent(h goka.Headers) []kgo.RecordHeader {
	out := make([]kgo.RecordHeader, 0, len(h)+4)
	out = append(out,
		kgo.RecordHeader{Key: codecs.HeaderSpecVersion, Value: []byte(codecs.SpecVersion)},
		kgo.RecordHeader{Key: codecs.HeaderID, Value: h[codecs.HeaderOrigin]},
		kgo.RecordHeader{Key: codecs.HeaderSource, Value: []byte("/stockflow/" + p.group)},
		kgo.RecordHeader{Key: codecs.HeaderContentType, Value: []byte(codecs.ContentTypeProtobuf)},
	)
	for k, v := range h {
		if v != nil && k != codecs.HeaderID && k != codecs.HeaderSource && k != codecs.HeaderContentType && k != codecs.HeaderSpecVersion {
			out = append(out, kgo.RecordHeader{Key: k, Value: v})
		}
	}
	return out
}

// sendRow sends a row that no longer has to wait. The lane's goroutine calls it.
func (i *instance) sendRow(l *lane, h *held) {
	if err := i.failed(); err != nil {
		h.resolve(nil, err)
		return
	}
	record := &kgo.Record{Topic: i.table, Partition: l.partition, Key: []byte(h.key), Value: h.value}
	if len(h.taken) > 0 {
		record.Headers = []kgo.RecordHeader{{Key: codecs.HeaderTaken, Value: h.taken}}
	}
	i.producer.client.Produce(context.Background(), record, func(r *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("sending a row to %s/%d: %w", i.table, l.partition, err)
			i.fail(err)
			h.resolve(nil, err)
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
	return time.UnixMilli(at).UTC().AppendFormat(nil, time.RFC3339Nano)
}
