package broker

import (
	"cmp"
	"context"
	"sync"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// shared is what all uses of a kept connection have in common: a client for questions, and readers.
type shared struct {
	client     *kgo.Client
	closing    sync.Once
	unreadable sync.Map // by their places the batches in whose place there is a message

	mu      sync.Mutex // guards readers
	readers []*reader
}

// Keep implements Broker.
func (c Connection) Keep() (Broker, func(), error) {
	kept, end, err := c.keep()
	return kept, end, err
}

// keep returns the connection itself if it is kept already.
func (c Connection) keep() (Connection, func(), error) {
	if c.kept != nil {
		return c, func() {}, nil
	}
	client, err := c.Client()
	if err != nil {
		return c, nil, err
	}
	c.kept = &shared{client: client}
	return c, c.kept.close, nil
}

func (s *shared) close() {
	s.closing.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range s.readers {
			r.close()
		}
		s.client.Close()
	})
}

// consume reads a partition with the first reader that doesn't read it yet. There is a second one only where a partition is
// read twice, as a table is by its owner that recovers and by a view.
func (c Connection) consume(at TopicPartition, from int64, standIns bool, broken func()) (*kafkaPartition, error) {
	s := c.kept
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		if p := r.add(at, from, standIns, broken); p != nil {
			return p, nil
		}
	}
	r, err := c.reader()
	if err != nil {
		return nil, err
	}
	s.readers = append(s.readers, r)
	return r.add(at, from, standIns, broken), nil
}

// place is where a message is.
type place struct {
	TopicPartition
	offset int64
}

// Unreadable implements Seats.
func (c Connection) Unreadable(at TopicPartition, offset int64) *Unreadable {
	if c.kept == nil {
		return nil
	}
	u, _ := c.kept.unreadable.Load(place{at, offset})
	batch, _ := u.(*Unreadable)
	return batch
}

// Consumer implements Seats.
func (c Connection) Consumer(string) (sarama.Consumer, error) {
	kept, end, err := c.keep()
	if err != nil {
		return nil, err
	}
	return kafkaConsumer{kafkaTopics: kafkaTopics{conn: kept, end: end}}, nil
}

type kafkaConsumer struct {
	kafkaTopics
	unpaused
}

// ConsumePartition reads a partition from an offset on, or from sarama.OffsetOldest or sarama.OffsetNewest.
func (c kafkaConsumer) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	if offset < 0 {
		var err error
		if offset, err = c.GetOffset(topic, partition, offset); err != nil {
			return nil, err
		}
	}
	p, err := c.conn.consume(TopicPartition{topic, partition}, offset, false, func() {})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Topics is never asked for.
func (kafkaConsumer) Topics() ([]string, error) { return nil, nil }

// HighWaterMarks are for goka's statistics, which nobody looks at.
func (kafkaConsumer) HighWaterMarks() map[string]map[int32]int64 { return nil }

// TopicOffsets implements Seats.
func (c Connection) TopicOffsets(string) (TopicOffsets, error) {
	kept, end, err := c.keep()
	if err != nil {
		return nil, err
	}
	return kafkaTopics{conn: kept, end: end}, nil
}

// kafkaTopics is TopicOffsets on a connection that is kept.
type kafkaTopics struct {
	conn Connection
	end  func()
	made
}

func (t kafkaTopics) Close() error {
	t.end()
	return nil
}

// Partitions returns the partitions of a topic that exists.
func (t kafkaTopics) Partitions(topic string) ([]int32, error) {
	found, err := t.conn.Topics(context.Background(), topic)
	if err != nil {
		return nil, err
	}
	return allOf(topic, found[topic].Partitions)
}

// allOf are the partitions of a topic that has so many; a topic without any doesn't exist.
func allOf(topic string, partitions int32) ([]int32, error) {
	if partitions == 0 {
		return nil, noTopic(topic)
	}
	all := make([]int32, partitions)
	for p := range all {
		all[p] = int32(p)
	}
	return all, nil
}

// GetOffset implements TopicOffsets. The end is that of what may be read.
func (t kafkaTopics) GetOffset(topic string, partition int32, at int64) (int64, error) {
	ask := t.conn.Starts
	if at == sarama.OffsetNewest {
		ask = t.conn.Ends
	}
	p := TopicPartition{topic, partition}
	found, err := ask(context.Background(), topic)
	if offset, there := found[p]; there { // whatever became of the others
		return offset, nil
	}
	return 0, cmp.Or(err, noTopic(p.String()))
}
