package cli

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/processors"
	"stockflow/replay"
)

// TestReplayDoesNotBeginWhileItsDirectoryIsInUse: a process that only answers HTTP has it open, and is no member of any group. What
// replay couldn't finish it doesn't begin.
func TestReplayDoesNotBeginWhileItsDirectoryIsInUse(t *testing.T) {
	t.Parallel()
	p := onKafka(t)
	server, client := start(t, p.serve())
	client.want("POST", "/v1/inventory/sku-1/receipts", `{"quantity":5}`, 200)
	newQuiet(t, server).wait(t)
	halt(t, server)
	crime{t, p.conn()}.nobody()
	before := momentOf(t, p.conn()).ends
	release, err := broker.Hold(p.dir)
	must(t, err)
	told(t, 1, []string{"nothing was changed", "is in use by"}, p.replay()...)
	if now := momentOf(t, p.conn()).ends; !maps.Equal(now, before) {
		t.Errorf("it has written: topics end at %v, and did at %v", now, before)
	}
	told(t, 0, []string{"dry run", "1 taken away"}, p.replay("--dry-run")...)
	must(t, release())
	told(t, 0, []string{"1 taken away"}, p.replay()...)
}

// TestSomebodyWhoBeginsToProcessDuringAReplayIsNoticed: rows have been written by then, and no offset is set.
func TestSomebodyWhoBeginsToProcessDuringAReplayIsNoticed(t *testing.T) {
	t.Parallel()
	p := tradedOnKafka(t)
	p.withoutGroups(t)
	crime{t, p.conn()}.nobody()
	var once sync.Once
	r := replay.Rebuilding{Conn: p.conn(), Machines: replay.Machines, Each: func(replay.Change) error {
		once.Do(func() { p.joined(t, "order", processors.OrderEvents) })
		return nil
	}}
	_, err := r.Rebuild(t.Context())
	if !errors.Is(err, replay.ErrMembers) || !strings.Contains(err.Error(), "stop them and run replay again") || !strings.Contains(err.Error(), "late-riser at ") {
		t.Errorf("it ends with %v", err)
	}
	if committed := momentOf(t, p.conn()).committed["order"]; len(committed) > 0 {
		t.Errorf("there are offsets %v", committed)
	}
}

// joined makes a member of a group, until the test ends.
func (p place) joined(t *testing.T, group, log string) {
	t.Helper()
	in := make(chan struct{})
	var once sync.Once
	p.client(t, kgo.ClientID("late-riser"), kgo.ConsumerGroup(group), kgo.ConsumeTopics(log), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { once.Do(func() { close(in) }) }))
	select {
	case <-in:
	case <-time.After(generous):
		t.Fatal("nobody has joined the group")
	}
}
