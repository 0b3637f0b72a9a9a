package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/processors"
	"stockflow/processors/order"
	"stockflow/replay"
)

// TestLostOffsetsAreFoundAgain: the groups' offsets are gone, and with one of them an output that was never sent. The
// processors go on where it is missing, and it is sent once.
func TestLostOffsetsAreFoundAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	produced(t, dir, placement("late", "sku-9", "ada@example.org")) // nobody processes it
	withoutGroups(t, dir)
	told(t, 0, []string{"no offset was committed"}, "replay", "--all", "--yes", "--data="+dir)
	sent := ends(t, dir)
	m := newMill(t, dir)
	until(m, m.server.tables.Orders, "late", func(s order.State) bool { return s.Status > order.Pending })
	told(t, 0, []string{allEqual, "42 orders"}, "verify", "--data="+dir)
	halt(t, m.server)
	now := ends(t, dir)
	if n := now[processors.InventoryEvents] - sent[processors.InventoryEvents]; n != 1 {
		t.Errorf("%d messages were sent to the stock for one line of an order", n)
	}
	if now[engine.Letters] != sent[engine.Letters] {
		t.Error("dead letters were sent again")
	}
}

// TestAMadeUpOriginDoesNotHideWhatWasNotSent: an order was not processed, and somebody has sent a receipt that claims to be what
// the order caused. The stock doesn't believe it, so the order is still to be processed once the offsets are lost.
func TestAMadeUpOriginDoesNotHideWhatWasNotSent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	late := placement("late", "sku-9", "")
	produced(t, dir, late)
	forged := receipt("sku-9", 1)
	forged.Headers = []kgo.RecordHeader{{Key: codecs.HeaderOrigin,
		Value: codecs.EncodeOrigin(codecs.Origin{Log: late.Topic, Partition: late.Partition, Offset: late.Offset})}}
	produced(t, dir, forged)
	withoutGroups(t, dir)
	if cut := cutsOf(t, rebuilt(t, "--data="+dir))[processors.OrderEvents][late.Partition]; cut != late.Offset {
		t.Fatalf("the orders go on at offset %d, expected %d", cut, late.Offset)
	}
	m := newMill(t, dir)
	until(m, m.server.tables.Orders, "late", func(s order.State) bool { return s.Status > order.Pending })
	m.awaitLetters(4)
	told(t, 0, []string{allEqual, "42 orders"}, "verify", "--data="+dir)
}

// TestAnOffsetThatTheLogDoesNotHave is committed: the log was cut, and neither command knows what its table should be.
func TestAnOffsetThatTheLogDoesNotHave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	says := ""
	opened(t, dir, func(_ broker.Connection, client *kgo.Client) {
		admin := kadm.NewClient(client)
		end, err := admin.ListEndOffsets(t.Context(), processors.InventoryEvents)
		if err != nil {
			t.Fatal(err)
		}
		last, _ := end.Lookup(processors.InventoryEvents, 3)
		says = fmt.Sprintf("the group inventory has committed offset 5000 of inventory-events/3, which ends at %d", last.Offset)
		ahead := kadm.Offsets{}
		ahead.AddOffset(processors.InventoryEvents, 3, 5000, -1)
		if answer, err := admin.CommitOffsets(t.Context(), "inventory", ahead); err != nil || answer.Error() != nil {
			t.Fatal(err, answer.Error())
		}
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
	dir := t.TempDir()
	traded(t, dir)
	opened(t, dir, func(conn broker.Connection, _ *kgo.Client) {
		deleted(t, conn, engine.Letters)
		if _, _, err := broker.Ensure(t.Context(), conn, topics(), 8); err != nil {
			t.Fatal(err)
		}
	})
	data := "--data=" + dir
	told(t, 1, []string{"topic dead-letters was deleted and made again"}, "replay", "--all", "--yes", data)
	must(t, os.Remove(filepath.Join(dir, topicsFile)))
	unmended := []string{"messages that can't be taken have no dead letter, 2 of them", `"early"`}
	told(t, 0, unmended, "replay", "--all", "--dry-run", data)
	told(t, 0, unmended, "replay", "--all", "--yes", data)
	told(t, 1, []string{`"bad": the message can't be taken`, "there is no dead letter of it"}, "verify", data)
}

// withoutGroups takes from a stopped directory what the groups have committed.
func withoutGroups(t *testing.T, dir string) {
	t.Helper()
	opened(t, dir, func(_ broker.Connection, client *kgo.Client) {
		for _, m := range replay.Machines {
			if answer, err := kadm.NewClient(client).DeleteGroup(t.Context(), m.Name); err != nil || answer.Err != nil {
				t.Fatal(err, answer.Err)
			}
		}
	})
}
