package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/replay"
)

const allEqual = "every table is the fold of its log"

// TestTablesThatContradictEachOtherAreFound: a message that a machine might have sent and none did is folded as any
// other, so each table is the fold of its log, and still units are free that an order holds.
func TestTablesThatContradictEachOtherAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	m := newMill(t, dir)
	_, value := codecs.EncodeInventoryEvent(inventory.Release{OrderID: "o-0", Allocations: []inventory.Allocation{{Location: "main", Quantity: 1}}})
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
	opened(t, dir, func(b broker.Local) {
		var damage []*kgo.Record
		for i := range 10 {
			damage = append(damage, &kgo.Record{Topic: processors.InventoryTable, Key: fmt.Appendf(nil, "sku-%d", i)},
				&kgo.Record{Topic: processors.OrderTable, Key: fmt.Appendf(nil, "nobody-%d", i),
					Value: codecs.EncodeOrderRow(codecs.Head{Applied: int64(i)}, order.State{Status: order.Confirmed})})
		}
		put(t, b, damage...)
		crash := errors.New("a crash")
		changed := 0
		for left := 20; left > 0; left -= 5 {
			n := 0
			r := replay.Rebuilding{Conn: b, Machines: replay.Machines, Each: func(replay.Change) error {
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

// TestReplayIsRefusedWhileSomebodyProcesses: on a journal that is whoever has the directory, and on Kafka who is in a group.
func TestReplayIsRefusedWhileSomebodyProcesses(t *testing.T) {
	t.Parallel()
	journal := place{dir: t.TempDir()}
	m := millOf(t, journal)
	m.client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	told(t, 1, []string{"nothing was changed: a Stockflow runs on " + journal.dir, "--dry-run"}, journal.replay()...)
	told(t, 0, []string{"inventory-table           1 rows, 0 written, 0 taken away", "dry run"}, append([]string{"replay", "--all", "--dry-run"}, journal.flags()...)...)
	halt(t, m.server)
	told(t, 0, []string{"0 written, 0 taken away"}, journal.replay()...)

	kafka := onKafka(t)
	m = millOf(t, kafka)
	told(t, 1, []string{"the group has members", "stockflow-order at 127.0.0.1"}, "replay", "--all", "--yes", kafka.flags()[1])
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
	p := tradedOnKafka(t)
	expire(t, p.client(t), processors.OrderEvents, 2, 3)
	says := []string{"order-events/2 begins at offset 3"}
	told(t, 2, says, p.verify()...)
	told(t, 1, says, p.replay()...)
	told(t, 0, []string{"inventory-table"}, p.verify("--table=inventory")...)
}
