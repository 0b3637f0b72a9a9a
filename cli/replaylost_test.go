package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/order"
	"stockflow/processors"
)

// TestLostOffsetsAreFoundAgain: the groups' offsets are gone, and with one of them an output that was never sent. The
// processors go on where it is missing, and it is sent once.
func TestLostOffsetsAreFoundAgain(t *testing.T) {
	t.Parallel()
	p := tradedOnKafka(t)
	put(t, p.conn(), placement("late", "sku-9", "ada@example.org")) // nobody processes it
	p.withoutGroups(t)
	told(t, 0, []string{"no offset was committed"}, p.replay()...)
	sent := ends(t, p)
	m := millOf(t, p)
	until(m, m.server.tables.Orders, "late", func(s order.State) bool { return s.Status > order.Pending })
	told(t, 0, []string{allEqual, "42 orders"}, p.verify()...)
	halt(t, m.server)
	now := ends(t, p)
	if n := now[processors.InventoryEvents] - sent[processors.InventoryEvents]; n != 1 {
		t.Errorf("%d messages were sent to the stock for one line of an order", n)
	}
	if now[engine.DeadLetters] != sent[engine.DeadLetters] {
		t.Error("dead letters were sent again")
	}
}

// TestAMadeUpOriginDoesNotHideWhatWasNotSent: an order was not processed, and somebody has sent a receipt that claims to be what
// the order caused. The stock doesn't believe it, so the order is still to be processed once the offsets are lost.
func TestAMadeUpOriginDoesNotHideWhatWasNotSent(t *testing.T) {
	t.Parallel()
	p := tradedOnKafka(t)
	late := placement("late", "sku-9", "")
	put(t, p.conn(), late)
	forged := receipt("sku-9", 1)
	forged.Headers = []kgo.RecordHeader{{Key: codecs.HeaderOrigin,
		Value: codecs.EncodeOrigin(codecs.Origin{Log: late.Topic, Partition: late.Partition, Offset: late.Offset})}}
	put(t, p.conn(), forged)
	p.withoutGroups(t)
	if cut := cutsOf(t, rebuilt(t, p.flags()...))[processors.OrderEvents][late.Partition]; cut != late.Offset {
		t.Fatalf("the orders go on at offset %d, expected %d", cut, late.Offset)
	}
	m := millOf(t, p)
	until(m, m.server.tables.Orders, "late", func(s order.State) bool { return s.Status > order.Pending })
	m.awaitLetters(4)
	told(t, 0, []string{allEqual, "42 orders"}, p.verify()...)
}

// TestAnOffsetThatTheLogDoesNotHave is committed: the log was cut, and neither command knows what its table should be.
func TestAnOffsetThatTheLogDoesNotHave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	says := ""
	opened(t, dir, func(b broker.Local) {
		at := broker.TopicPartition{Topic: processors.InventoryEvents, Partition: 3}
		says = fmt.Sprintf("the group inventory has committed offset 5000 of inventory-events/3, which ends at %d", momentOf(t, b).ends[at])
		must(t, b.Commit(t.Context(), "inventory", map[broker.TopicPartition]int64{at: 5000}))
	})
	told(t, 2, []string{says}, "verify", "--data="+dir)
	told(t, 2, []string{says}, "verify", "--table=inventory", "--data="+dir)
	told(t, 1, []string{says}, "replay", "--all", "--yes", "--data="+dir)
	told(t, 0, []string{"order-table"}, "verify", "--table=order", "--data="+dir)
}

// TestLostDeadLettersAreNotMended: replay says that they are missing, and makes none. Of a message whose origin lay beyond its log
// only its letter told that it was refused, so the order in it comes to be.
func TestLostDeadLettersAreNotMended(t *testing.T) {
	t.Parallel()
	p := tradedOnKafka(t)
	p.deleted(t, engine.DeadLetters)
	_, _, err := p.conn().Ensure(t.Context(), topics(), 8)
	must(t, err)
	told(t, 1, []string{"topic dead-letters was deleted and made again"}, p.replay()...)
	must(t, os.Remove(filepath.Join(p.dir, topicsFile)))
	unmended := []string{"messages that can't be taken have no dead letter, 2 of them", `"early"`}
	told(t, 0, unmended, p.replay("--dry-run")...)
	told(t, 0, unmended, p.replay()...)
	told(t, 1, []string{`"bad": the message can't be taken`, "there is no dead letter of it"}, p.verify()...)
}
