package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/processors/inventory"
	"stockflow/processors/order"
	"stockflow/replay"
)

const allEqual = "every table is the fold of its log"

// opened gives do the broker of a directory whose server is stopped.
func opened(t *testing.T, dir string, do func(broker.Connection, *kgo.Client)) {
	t.Helper()
	openedBroker(t, dir, func(b *broker.Embedded, client *kgo.Client) { do(b.Connection(), client) })
}

// openedBroker is opened for those who need the broker itself.
func openedBroker(t *testing.T, dir string, do func(*broker.Embedded, *kgo.Client)) {
	t.Helper()
	b, err := broker.OpenEmbedded(dir, broker.Unsynced(), broker.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	client, err := b.Connection().Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	do(b, client)
}

// produced writes records into the logs or tables of a directory whose server is stopped.
func produced(t *testing.T, dir string, records ...*kgo.Record) {
	t.Helper()
	opened(t, dir, func(_ broker.Connection, client *kgo.Client) {
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	})
}

// rowOf returns the newest row of a key in a changelog.
func rowOf(t *testing.T, conn broker.Connection, table, key string) (row []byte) {
	t.Helper()
	n := broker.Partition([]byte(key), 8)
	client, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(table, n)
	err = broker.Read(t.Context(), conn, table, n, 0, end.Offset, func(r *kgo.Record) error {
		if string(r.Key) == key {
			row = r.Value
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// deleted deletes a topic.
func deleted(t *testing.T, conn broker.Connection, topic string) {
	t.Helper()
	client, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if answer, err := kadm.NewClient(client).DeleteTopics(t.Context(), topic); err != nil || answer.Error() != nil {
		t.Fatal(err, answer.Error())
	}
}

// TestTablesThatContradictEachOtherAreFound: a message that a machine might have sent and none did is folded as any
// other, so each table is the fold of its log, and still units are free that an order holds.
func TestTablesThatContradictEachOtherAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	m := newMill(t, dir)
	_, value := codecs.EncodeInventoryEvent(inventory.Release{OrderID: "o-0", Takes: []inventory.Take{{Location: "main", Quantity: 1}}})
	m.write(&kgo.Record{Topic: processors.InventoryEvents, Key: []byte("sku-5"), Value: value,
		Headers: []kgo.RecordHeader{{Key: codecs.HeaderOrigin, Value: codecs.EncodeOrigin(codecs.Origin{Log: processors.OrderEvents, Partition: 1, Index: 9})}}})
	m.write(receipt("sku-5", 1))
	until(m, m.server.tables.Inventory, "sku-5", func(s inventory.State) bool { return s.Received == 6 })
	if text := told(t, 1, []string{`"sku-5"`, "are reserved, and open orders hold"}, "verify", "--data="+dir); strings.Contains(text, "the table has it:  none") {
		t.Errorf("the row is there, and it says %s", text)
	}
	var report struct {
		Differences []struct{ Table, Key, Problem string }
	}
	if text := told(t, 1, nil, "verify", "--json", "--data="+dir); json.Unmarshal([]byte(text), &report) != nil || len(report.Differences) == 0 || report.Differences[0].Key != "sku-5" {
		t.Errorf("as JSON the report is %s", text)
	}
}

// TestWhatHTTPServesIsVerified against a Stockflow that is asked through somebody who changes what it says.
func TestWhatHTTPServesIsVerified(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	m := newMill(t, dir)
	for problem, lie := range map[string]*strings.Replacer{
		"HTTP serves something else than":        strings.NewReplacer(`"on_hand":5`, `"on_hand":6`),
		"HTTP doesn't serve it":                  strings.NewReplacer(`"sku":"sku-4"`, `"sku":"sku-x"`),
		"HTTP serves version":                    strings.NewReplacer(`"order_id":"o-7"`, `"order_id":"o-x"`),
		"the log makes it:  {\n  \"head\": {":    strings.NewReplacer(`"status":"rejected"`, `"status":"confirmed"`),
		"HTTP should serve: {\n  \"order_id\": ": strings.NewReplacer(`"kind":"rejected"`, `"kind":"delivered"`),
		"\nHTTP serves:       {\n  \"sku\": ":    strings.NewReplacer(`"location":"main"`, `"location":"attic"`),
	} {
		liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := m.client.send("GET", r.URL.RequestURI(), "")
			if strings.HasSuffix(r.URL.Path, "/sku-4") {
				a.status = http.StatusNotFound
			}
			w.WriteHeader(a.status)
			_, _ = lie.WriteString(w, a.text)
		}))
		told(t, 1, []string{problem}, "verify", "--data="+dir, "--url="+liar.URL)
		liar.Close()
	}
	told(t, 2, []string{"refused"}, "verify", "--data="+dir, "--url=http://127.0.0.1:1")
}

// TestAReplayThatIsBrokenOffIsDoneAgain: it is broken off after each number of rows, and once more, and in the end the
// tables are what they should be.
func TestAReplayThatIsBrokenOffIsDoneAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	opened(t, dir, func(conn broker.Connection, client *kgo.Client) {
		var damage []*kgo.Record
		for i := range 10 {
			damage = append(damage, &kgo.Record{Topic: processors.InventoryTable, Key: fmt.Appendf(nil, "sku-%d", i)},
				&kgo.Record{Topic: processors.OrderTable, Key: fmt.Appendf(nil, "nobody-%d", i),
					Value: codecs.EncodeOrderRow(codecs.Head{Applied: int64(i)}, order.State{Status: order.Confirmed})})
		}
		if err := client.ProduceSync(t.Context(), damage...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		crash := errors.New("a crash")
		changed := 0
		for left := 20; left > 0; left -= 5 {
			n := 0
			r := replay.Rebuilding{Conn: conn, Machines: replay.Machines, Each: func(replay.Change) error {
				if n++; n > 5 {
					return crash
				}
				changed++
				return nil
			}}
			if _, err := r.Rebuild(t.Context()); (err != nil) != (left > 5) || err != nil && !errors.Is(err, crash) {
				t.Errorf("with %d rows left it ends with %v", left, err)
			}
		}
		if changed != 20 {
			t.Errorf("%d rows were changed in all", changed)
		}
	})
	told(t, 0, []string{allEqual}, "verify", "--data="+dir)
}

func TestReplayIsRefusedWhileSomebodyProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := newMill(t, dir)
	told(t, 1, []string{"the group has members", "stockflow-order at 127.0.0.1"}, "replay", "--all", "--yes", "--data="+dir)
	halt(t, m.server)
}

// TestVerifyAndReplayNameWhatIsWrongWithTheirArguments.
func TestVerifyAndReplayNameWhatIsWrongWithTheirArguments(t *testing.T) {
	t.Parallel()
	told(t, 2, []string{`there is no table "parcels"`, "shipment-table"}, "verify", "--table=parcels")
	told(t, 2, []string{"no Stockflow's log"}, "verify", "--data="+t.TempDir())
	told(t, 2, []string{"--table or --all"}, "replay", "--yes")
	told(t, 2, []string{`there is no table "parcels"`}, "replay", "--table=parcels", "--yes")
	told(t, 1, []string{"no Stockflow's log"}, "replay", "--all", "--yes", "--data="+t.TempDir())
}

// TestAnExpiredLogCanNotBeVerified, and its table is not rebuilt from what is left.
func TestAnExpiredLogCanNotBeVerified(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	opened(t, dir, func(_ broker.Connection, client *kgo.Client) { expire(t, client, processors.OrderEvents, 2, 3) })
	says := []string{"order-events/2 begins at offset 3"}
	told(t, 2, says, "verify", "--data="+dir)
	told(t, 1, says, "replay", "--all", "--yes", "--data="+dir)
	told(t, 0, []string{"inventory-table"}, "verify", "--table=inventory", "--data="+dir)
}

// ends returns how many records topics have had.
func ends(t *testing.T, dir string) (n map[string]int64) {
	t.Helper()
	n = map[string]int64{}
	opened(t, dir, func(_ broker.Connection, client *kgo.Client) {
		list, err := kadm.NewClient(client).ListEndOffsets(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		list.Each(func(e kadm.ListedOffset) { n[e.Topic] += e.Offset })
	})
	return n
}
