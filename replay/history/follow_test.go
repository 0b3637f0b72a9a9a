package history

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal"
	"stockflow/machines/inventory"
	"stockflow/processors"
)

// Who looks back does not wait until the follower has gathered enough.
func TestALookBackEndsTheGathering(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Open(dir+"/journal", journal.Options{Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, j.Close()) }()
	conn := broker.NewLocal(j)
	var needed []broker.Topic
	for _, name := range topics() {
		needed = append(needed, broker.Topic{Name: name})
	}
	_, _, err = conn.Ensure(t.Context(), needed, 1)
	must(t, err)
	h := Open(conn, dir+"/history", 1, slog.New(slog.DiscardHandler))
	h.gathering = time.Hour
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.Run(ctx) }()
	for offset := range int64(3) {
		receive(t, conn)
		looking, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		m, err := h.AtOffset(looking, processors.InventoryEvents, "lamp", offset)
		for errors.Is(err, ErrNone) { // Run has not begun
			m, err = h.AtOffset(looking, processors.InventoryEvents, "lamp", offset)
		}
		if err != nil || m.Offset != offset {
			t.Errorf("the row after offset %d is that after %d, %v", offset, m.Offset, err)
		}
		cancel()
	}
	stop()
	must(t, <-ended)
}

func receive(t *testing.T, conn broker.Broker) {
	t.Helper()
	producer, err := conn.Producer(broker.LargestMessage)
	must(t, err)
	defer producer.Close()
	_, value := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: 1})
	producer.Produce(t.Context(), &kgo.Record{Topic: processors.InventoryEvents, Key: []byte("lamp"), Value: value}, func(_ *kgo.Record, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	must(t, producer.Flush(t.Context()))
}
