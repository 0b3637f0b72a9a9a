package engine

import (
	"context"

	"github.com/IBM/sarama"
)

// consumerGroup mends two habits of goka: it goes on to the next generation at once, where goka's own loop waits
// five seconds at every rebalance, and it marks offsets as a contiguous prefix of what was delivered.
type consumerGroup struct {
	sarama.ConsumerGroup
	instance *instance
}

// Consume joins generation after generation until ctx ends or one fails.
func (c consumerGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	for {
		err := c.ConsumerGroup.Consume(ctx, topics, &handler{ConsumerGroupHandler: h, instance: c.instance})
		if err != nil || ctx.Err() != nil {
			return err
		}
		c.instance.log.Info("rebalancing")
	}
}

// handler shows goka a session of ours.
type handler struct {
	sarama.ConsumerGroupHandler
	instance *instance
	session  *session
}

// Setup lets goka build and recover the workers of this session, and notes which they are.
func (h *handler) Setup(s sarama.ConsumerGroupSession) error {
	h.session = &session{ConsumerGroupSession: s, workers: map[int32]*worker{}}
	if err := h.ConsumerGroupHandler.Setup(h.session); err != nil {
		return err
	}
	for _, partition := range s.Claims()[h.instance.input] {
		h.session.workers[partition] = h.instance.worker(partition)
	}
	return nil
}

func (h *handler) ConsumeClaim(_ sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	return h.ConsumerGroupHandler.ConsumeClaim(h.session, claim)
}

func (h *handler) Cleanup(s sarama.ConsumerGroupSession) error {
	if h.session == nil {
		h.session = &session{ConsumerGroupSession: s, workers: map[int32]*worker{}}
	}
	return h.ConsumerGroupHandler.Cleanup(h.session)
}

// session marks what is done together with everything delivered before it. It keeps the workers of its own
// generation: a late acknowledgement of an earlier one must not mark for a later one.
type session struct {
	sarama.ConsumerGroupSession
	workers map[int32]*worker // written by Setup alone, before any message
}

// MarkOffset is told by goka that the message before offset is done. The session forgets marks that do not rise.
func (s *session) MarkOffset(topic string, partition int32, offset int64, metadata string) {
	l := s.workers[partition]
	if l == nil {
		return
	}
	if end, any := l.done(offset - 1); any {
		s.ConsumerGroupSession.MarkOffset(topic, partition, end, metadata)
	}
}
