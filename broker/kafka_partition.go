package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// channelRecords is how many records wait in the channel of a partition.
	channelRecords = 64
	// A partition whose consumer has so many more to take is not fetched any more, until it has only resumeRecords. It may have to
	// wait for the fetch that is under way then, and those are for its consumer meanwhile.
	backlogRecords = 1024
	resumeRecords  = backlogRecords / 2
	// The same for their bytes.
	backlogBytes = 2 << 20
	resumeBytes  = backlogBytes / 2
	// feedRecords is how many are taken from the backlog at once.
	feedRecords = 256
)

// kafkaPartition is a partition of a reader, as a consumer of goka's sees it.
type kafkaPartition struct {
	reader   *reader
	at       TopicPartition
	messages chan *sarama.ConsumerMessage
	errors   chan *sarama.ConsumerError
	ctx      context.Context
	stop     context.CancelFunc
	broken   func() // is called after an error
	standIns bool   // there are records in place of batches that can't be read
	removing sync.Once
	high     atomic.Int64 // where the partition ended when something was last read

	mu      sync.Mutex // guards what follows, and is held while messages are sent to the channel without waiting
	backlog []*kgo.Record
	bytes   int  // of the backlog
	feeding bool // a goroutine sends the backlog
	paused  bool // the partition is not fetched
	closed  bool // nothing is sent any more
}

func newKafkaPartition(r *reader, at TopicPartition, broken func()) *kafkaPartition {
	ctx, stop := context.WithCancel(context.Background())
	return &kafkaPartition{
		reader: r, at: at, ctx: ctx, stop: stop, broken: broken,
		messages: make(chan *sarama.ConsumerMessage, channelRecords), errors: make(chan *sarama.ConsumerError, 1),
	}
}

// deliver sends records to the consumer, and leaves those for which there is no room to a goroutine.
func (p *kafkaPartition) deliver(records []*kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if !p.feeding {
		records = p.send(records)
	}
	if len(records) == 0 {
		return
	}
	p.backlog = append(p.backlog, records...)
	p.bytes += bytesOf(records)
	if (len(p.backlog) > backlogRecords || p.bytes > backlogBytes) && !p.paused {
		p.paused = true
		p.reader.client.PauseFetchPartitions(map[string][]int32{p.at.Topic: {p.at.Partition}})
	}
	if !p.feeding {
		p.feeding = true
		go p.feed()
	}
}

// send sends what there is room for, and returns the rest.
func (p *kafkaPartition) send(records []*kgo.Record) []*kgo.Record {
	for i, r := range records {
		select {
		case p.messages <- messageOfRecord(r):
		default:
			return records[i:]
		}
	}
	return nil
}

// feed sends the backlog until there is none.
func (p *kafkaPartition) feed() {
	for records := p.next(); records != nil; records = p.next() {
		for _, r := range records {
			select {
			case p.messages <- messageOfRecord(r):
			case <-p.ctx.Done():
			}
		}
		clear(records) // the backlog's memory still has them
	}
}

// next takes some of the backlog. It returns nil at the end of the goroutine that feeds.
func (p *kafkaPartition) next() []*kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.backlog = nil
		p.closeChannels()
		return nil
	}
	n := min(len(p.backlog), feedRecords)
	records := p.backlog[:n]
	p.backlog = p.backlog[n:]
	p.bytes -= bytesOf(records)
	if n == 0 {
		p.feeding, p.backlog, records = false, nil, nil
	}
	if p.paused && len(p.backlog) < resumeRecords && p.bytes < resumeBytes {
		p.paused = false
		p.reader.client.ResumeFetchPartitions(map[string][]int32{p.at.Topic: {p.at.Partition}})
	}
	return records
}

func bytesOf(records []*kgo.Record) (n int) {
	for _, r := range records {
		n += len(r.Key) + len(r.Value)
	}
	return n
}

func (p *kafkaPartition) closeChannels() {
	close(p.messages)
	close(p.errors)
}

// fail tells the consumer the first error.
func (p *kafkaPartition) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	select {
	case p.errors <- &sarama.ConsumerError{Topic: p.at.Topic, Partition: p.at.Partition, Err: err}:
	default: // it has been told one
	}
	p.broken()
}

// AsyncClose ends the partition. Its channels are closed soon.
func (p *kafkaPartition) AsyncClose() { go p.end() }

// end returns when the partition may be read by another consumer.
func (p *kafkaPartition) end() {
	p.removing.Do(func() {
		p.stop()
		p.reader.remove(p)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closed = true
		if !p.feeding { // else by the goroutine that does
			p.closeChannels()
		}
	})
}

// Close ends the partition and returns what was wrong with it.
func (p *kafkaPartition) Close() error {
	p.end()
	for range p.messages {
	}
	var errs []error
	for err := range p.errors {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *kafkaPartition) Messages() <-chan *sarama.ConsumerMessage { return p.messages }
func (p *kafkaPartition) Errors() <-chan *sarama.ConsumerError     { return p.errors }
func (*kafkaPartition) Pause()                                     {}
func (*kafkaPartition) Resume()                                    {}
func (*kafkaPartition) IsPaused() bool                             { return false }
func (p *kafkaPartition) HighWaterMarkOffset() int64               { return p.high.Load() }

func messageOfRecord(r *kgo.Record) *sarama.ConsumerMessage {
	m := &sarama.ConsumerMessage{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
	}
	if n := len(r.Headers); n > 0 {
		headers := make([]sarama.RecordHeader, n)
		m.Headers = make([]*sarama.RecordHeader, n)
		for i, h := range r.Headers {
			headers[i] = sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value}
			m.Headers[i] = &headers[i]
		}
	}
	return m
}
