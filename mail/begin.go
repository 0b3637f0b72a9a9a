package mail

import (
	"context"
	"fmt"
	"slices"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/notification"
	"stockflow/processors"
)

// A table that can be read may still say of e-mails that they are queued whose outcomes are in the log: a process that
// died, or another owner, wrote them, and nobody has folded them yet. So before anything of a partition is sent, a
// message is written to its log, and waited for in the table: then all that came before it is there as well.

// beginning is a partition that has become this process's.
type beginning struct {
	partition int32
	kept      context.Context // ends when the partition is lost
	lose      context.CancelFunc
	ready     bool // what the log had is in the table; guarded by the sender's mu
}

// begin notes which partitions are this process's, and returns those that were not before.
func (s *Sender) begin(ctx context.Context, owned []int32) (fresh []*beginning) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, b := range s.begun {
		if !slices.Contains(owned, p) {
			b.lose()
			delete(s.begun, p)
		}
	}
	for _, p := range owned {
		if s.begun[p] == nil {
			b := &beginning{partition: p}
			b.kept, b.lose = context.WithCancel(ctx)
			s.begun[p] = b
			fresh = append(fresh, b)
		}
	}
	return fresh
}

// catchUp makes a partition ready, and has it walked. A partition that is lost and comes back meanwhile has two of these
// for a moment: the later one is told of the row, and the earlier one gives up.
func (s *Sender) catchUp(b *beginning) {
	defer b.lose()
	key, ok := s.keyOn(b.kept, b.partition)
	if !ok {
		return
	}
	name, value := codecs.EncodeNotificationEvent(notification.Begin{})
	e := &sendJob{sender: s, key: key, changed: make(chan struct{}, 1), stopping: b.kept, lasting: b.kept}
	s.mu.Lock()
	if s.begun[b.partition] == b {
		s.catching[key] = e
	}
	s.mu.Unlock()
	offset, err := e.write(engine.Output{Log: processors.NotificationEvents, Key: key, Type: name, Value: value})
	caughtUp := err == nil && e.await(offset)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catching[key] == e { // else it is that of a later beginning, which still waits to be told
		delete(s.catching, key)
	}
	if caughtUp {
		b.ready = true
		signal(s.scanNow)
	}
}

// keyOn returns a key on a partition, as soon as the table can be read; false when ctx ends before.
func (s *Sender) keyOn(ctx context.Context, partition int32) (string, bool) {
	for n := 0; ; n++ {
		if err := s.Outbox.WaitRecovered(ctx); err != nil {
			return "", false
		}
		if key := fmt.Sprintf("sender.%d", n); s.Outbox.Partition(key) == partition {
			return key, true
		}
	}
}
