package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/replay"
)

// bounds are where the logs and the dead letters begin and end, and the ids of their topics.
type bounds struct {
	starts, ends map[broker.TopicPartition]int64
	ids          map[string]string
}

func (b bounds) start(topic string, partition int32) int64 {
	return b.starts[broker.TopicPartition{Topic: topic, Partition: partition}]
}

func (b bounds) end(topic string, partition int32) int64 {
	return b.ends[broker.TopicPartition{Topic: topic, Partition: partition}]
}

// askTimeout is how long the broker may take to say where its logs end.
const askTimeout = 5 * time.Second

func topics() []string {
	all := []string{engine.DeadLetters}
	for _, m := range replay.Machines {
		all = append(all, m.Log)
	}
	return all
}

func boundsOf(ctx context.Context, conn broker.Broker) (b bounds, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if b.ends, err = endsOf(ctx, conn); err != nil {
		return b, err
	}
	if b.starts, err = conn.Starts(ctx, topics()...); err != nil {
		return b, err
	}
	found, err := conn.Topics(ctx, topics()...)
	if err != nil {
		return b, fmt.Errorf("asking for the ids of the logs: %w", err)
	}
	b.ids = map[string]string{}
	for name, t := range found {
		b.ids[name] = t.ID
	}
	return b, nil
}

func endsOf(ctx context.Context, conn broker.Broker) (map[broker.TopicPartition]int64, error) {
	ends, err := conn.Ends(ctx, topics()...)
	if err != nil {
		return nil, errors.Join(ErrUnreachable, err)
	}
	return ends, nil
}

// ends asks where the logs end now.
func (h *History) ends(ctx context.Context) (bounds, error) {
	conn, err := h.asker(ctx)
	if err != nil {
		return bounds{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	ends, err := endsOf(ctx, conn)
	return bounds{ends: ends}, err
}

// await waits until the annals have all of their log before end, and of the dead letters before letters. The error is a
// *Behind when ctx ends before.
func (a *partitionHistory) await(ctx context.Context, end, letters int64) error {
	for {
		m, moved := a.moving()
		if m.Next >= end && m.Letters >= letters {
			return nil
		}
		a.hurry()
		select {
		case <-moved:
		case <-ctx.Done():
			if m.Next >= end {
				return &Behind{engine.DeadLetters, a.partition, m.Letters, letters}
			}
			return &Behind{a.machine.Log, a.partition, m.Next, end}
		}
	}
}
