package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"stockflow/journal"
)

// seatBuffer is how many messages wait in the channel of a partition, and seatBytes how many bytes are read at once.
const (
	seatBuffer = 256
	seatBytes  = 1 << 20
)

// unpaused are the methods of sarama's consumers that goka doesn't use here.
type unpaused struct{}

func (unpaused) Pause(map[string][]int32)  {}
func (unpaused) Resume(map[string][]int32) {}
func (unpaused) PauseAll()                 {}
func (unpaused) ResumeAll()                {}

// Unreadable implements Seats: a journal takes nothing that it could not read.
func (Local) Unreadable(TopicPartition, int64) *Unreadable { return nil }

// Consumer implements Seats.
func (l Local) Consumer(string) (sarama.Consumer, error) { return localConsumer{local: l}, nil }

type localConsumer struct {
	local Local
	unpaused
}

func (c localConsumer) Topics() ([]string, error) {
	var all []string
	for _, t := range c.local.journal.Topics() {
		all = append(all, t.Name)
	}
	return all, nil
}

func (c localConsumer) Partitions(topic string) ([]int32, error) {
	return localTopics{local: c.local}.Partitions(topic)
}

func (c localConsumer) HighWaterMarks() map[string]map[int32]int64 {
	all := map[string]map[int32]int64{}
	topics, _ := c.Topics()
	ends, _ := c.local.Ends(context.Background(), topics...) // topics that there are
	for p, end := range ends {
		if all[p.Topic] == nil {
			all[p.Topic] = map[int32]int64{}
		}
		all[p.Topic][p.Partition] = end
	}
	return all
}

func (localConsumer) Close() error { return nil }

// ConsumePartition reads a partition from an offset on, or from sarama.OffsetOldest or sarama.OffsetNewest.
func (c localConsumer) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	p, err := c.local.partition(topic, partition)
	if err != nil {
		return nil, err
	}
	start, end := p.Bounds(c.local.horizon)
	switch offset {
	case sarama.OffsetOldest:
		offset = start
	case sarama.OffsetNewest:
		offset = end
	}
	return c.local.consume(TopicPartition{topic, partition}, p, offset), nil
}

// localPartition is a partition that is read into a channel by a goroutine of its own.
type localPartition struct {
	local     Local
	at        TopicPartition
	partition *journal.Partition
	messages  chan *sarama.ConsumerMessage
	errors    chan *sarama.ConsumerError
	ctx       context.Context
	stop      context.CancelFunc
}

func (l Local) consume(at TopicPartition, p *journal.Partition, from int64) *localPartition {
	ctx, stop := context.WithCancel(context.Background())
	c := &localPartition{
		local: l, at: at, partition: p, ctx: ctx, stop: stop,
		messages: make(chan *sarama.ConsumerMessage, seatBuffer), errors: make(chan *sarama.ConsumerError, 1),
	}
	go c.run(p.Follow(from, l.horizon))
	return c
}

// run ends with the consumer, or at the first error, which it tells.
func (c *localPartition) run(cursor *journal.Cursor) {
	defer close(c.errors)
	defer close(c.messages)
	for {
		found, err := cursor.Next(c.ctx, seatBytes)
		if err != nil {
			if c.ctx.Err() == nil {
				c.errors <- &sarama.ConsumerError{Topic: c.at.Topic, Partition: c.at.Partition, Err: err}
				<-c.ctx.Done() // goka takes the end of the messages for an orderly one
			}
			return
		}
		for i := range found {
			if !c.send(messageOf(c.at, &found[i])) {
				return
			}
		}
	}
}

// send waits for room, and returns false if the consumer ends before there is any.
func (c *localPartition) send(m *sarama.ConsumerMessage) bool {
	select {
	case c.messages <- m: // nearly always, and for less than with the other case
		return true
	default:
	}
	select {
	case c.messages <- m:
		return true
	case <-c.ctx.Done():
		return false
	}
}

func messageOf(at TopicPartition, r *journal.Record) *sarama.ConsumerMessage {
	return &sarama.ConsumerMessage{
		Topic: at.Topic, Partition: at.Partition, Offset: r.Offset, Timestamp: time.UnixMilli(r.Time),
		Key: r.Key, Value: r.Value, Headers: saramaHeaders(r.Headers),
	}
}

func (c *localPartition) Messages() <-chan *sarama.ConsumerMessage { return c.messages }
func (c *localPartition) Errors() <-chan *sarama.ConsumerError     { return c.errors }
func (c *localPartition) AsyncClose()                              { c.stop() }
func (*localPartition) Pause()                                     {}
func (*localPartition) Resume()                                    {}
func (*localPartition) IsPaused() bool                             { return false }

func (c *localPartition) HighWaterMarkOffset() int64 {
	_, end := c.partition.Bounds(c.local.horizon)
	return end
}

// Close waits until the goroutine has ended.
func (c *localPartition) Close() error {
	c.stop()
	for range c.messages {
	}
	var errs []error
	for err := range c.errors {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// TopicOffsets implements Seats.
func (l Local) TopicOffsets(string) (TopicOffsets, error) { return localTopics{local: l}, nil }

type localTopics struct {
	local Local
	made
}

func (t localTopics) Partitions(topic string) ([]int32, error) {
	found, err := t.local.Topics(context.Background(), topic)
	if err != nil {
		return nil, err
	}
	return allOf(topic, found[topic].Partitions)
}

func (t localTopics) GetOffset(topic string, partition int32, time int64) (int64, error) {
	p, err := t.local.partition(topic, partition)
	if err != nil {
		return 0, err
	}
	start, end := p.Bounds(t.local.horizon)
	switch time {
	case sarama.OffsetOldest:
		return start, nil
	case sarama.OffsetNewest:
		return end, nil
	}
	return 0, fmt.Errorf("asking for an offset of %s/%d by time: only its start and its end are told", topic, partition)
}

func (localTopics) Close() error { return nil }

// ConsumerGroup implements Seats. Its one session has all partitions, and lasts for as long as Consume.
func (l Local) ConsumerGroup(_, group string) (sarama.ConsumerGroup, error) {
	return &localGroup{local: l, group: group, errors: make(chan error)}, nil
}

// Leave implements Seats. Nobody waits for the one member that there can be.
func (Local) Leave(context.Context, string) error { return nil }

type localGroup struct {
	local  Local
	group  string
	errors chan error // nothing is ever told there
	once   sync.Once
	unpaused
}

func (g *localGroup) Errors() <-chan error { return g.errors }

func (g *localGroup) Close() error {
	g.once.Do(func() { close(g.errors) })
	return nil
}
