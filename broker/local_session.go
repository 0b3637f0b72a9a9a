package broker

import (
	"context"

	"github.com/IBM/sarama"
)

// Consume runs one session over all partitions of topics, until ctx ends or the handler does.
func (g *localGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	claims := map[string][]int32{}
	for _, topic := range topics {
		partitions, err := localTopics{local: g.local}.Partitions(topic)
		if err != nil {
			return err
		}
		claims[topic] = partitions
	}
	committed, err := g.local.Committed(ctx, g.group)
	if err != nil {
		return err
	}
	s := newGroupSession(claims)
	s.member, s.generation = g.group, 1
	s.ctx, s.end = context.WithCancel(ctx)
	s.open = func(at TopicPartition) (sarama.PartitionConsumer, int64, error) { return g.open(at, committed) }
	s.commit = func(marks map[TopicPartition]int64) error {
		_, err := g.local.commit(g.group, marks)
		return err
	}
	return s.run(h)
}

// open reads a partition from where the group has committed it, or from its start.
func (g *localGroup) open(at TopicPartition, committed map[TopicPartition]int64) (sarama.PartitionConsumer, int64, error) {
	p, err := g.local.partition(at.Topic, at.Partition)
	if err != nil {
		return nil, 0, err
	}
	start, end := p.Bounds(g.local.horizon)
	from, known := committed[at]
	if !known {
		from = start
	}
	if from > end {
		return nil, 0, beyond(g.group, at, from, end)
	}
	return g.local.consume(at, p, from), from, nil
}
