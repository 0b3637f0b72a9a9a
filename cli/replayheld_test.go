package cli

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/processors"
	"stockflow/replay"
)

// TestReplayDoesNotBeginWhileItsDirectoryIsInUse: a process that only answers HTTP has it open, and is no member of any group. What
// replay couldn't finish it doesn't begin.
func TestReplayDoesNotBeginWhileItsDirectoryIsInUse(t *testing.T) {
	t.Parallel()
	conn, dir := broker.Connection{Brokers: newKafka(t).ListenAddrs()}, t.TempDir()
	where := "--brokers=" + strings.Join(conn.Brokers, ",")
	server, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Brokers: conn.Brokers})
	client.want("POST", "/v1/inventory/sku-1/receipts", `{"quantity":5}`, 200)
	newQuiet(t, server).wait(t)
	halt(t, server)
	writer, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	crime{t, conn, writer}.nobody()
	before := momentOf(t, writer).ends.Offsets()
	release, err := broker.Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	replayed := []string{"replay", "--all", "--yes", "--data=" + dir, where}
	told(t, 1, []string{"nothing was changed", "is in use by"}, replayed...)
	if now := momentOf(t, writer).ends.Offsets(); !maps.EqualFunc(now, before, maps.Equal) {
		t.Errorf("it has written: topics end at %v, and did at %v", now, before)
	}
	told(t, 0, []string{"dry run", "1 taken away"}, append(replayed, "--dry-run")...)
	must(t, release())
	told(t, 0, []string{"1 taken away"}, replayed...)
}

// TestSomebodyWhoBeginsToProcessDuringAReplayIsNoticed: rows have been written by then, and no offset is set.
func TestSomebodyWhoBeginsToProcessDuringAReplayIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	withoutGroups(t, dir)
	opened(t, dir, func(conn broker.Connection, client *kgo.Client) {
		crime{t, conn, client}.nobody()
		var once sync.Once
		r := replay.Rebuilding{Conn: conn, Machines: replay.Machines, Each: func(replay.Change) error {
			once.Do(func() { joined(t, conn, "order", processors.OrderEvents) })
			return nil
		}}
		_, err := r.Rebuild(t.Context())
		if !errors.Is(err, replay.ErrMembers) || !strings.Contains(err.Error(), "stop them and run replay again") || !strings.Contains(err.Error(), "late-riser at ") {
			t.Errorf("it ends with %v", err)
		}
		committed, err := kadm.NewClient(client).FetchOffsets(t.Context(), "order")
		if err != nil || len(committed) > 0 {
			t.Errorf("there are offsets %v, %v", committed, err)
		}
	})
}

// joined makes a member of a group, until the test ends.
func joined(t *testing.T, conn broker.Connection, group, log string) {
	t.Helper()
	in := make(chan struct{})
	var once sync.Once
	member, err := conn.Client(kgo.ClientID("late-riser"), kgo.ConsumerGroup(group), kgo.ConsumeTopics(log), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { once.Do(func() { close(in) }) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	select {
	case <-in:
	case <-time.After(generous):
		t.Fatal("nobody has joined the group")
	}
}
