package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
)

// typed carries out dead-letters with a command line, and expects its exit code and texts in what it prints.
func typed(t *testing.T, code int, says []string, args ...string) string {
	t.Helper()
	return told(t, code, says, append([]string{"dead-letters"}, args...)...)
}

const (
	noLamps  = `{"placed": {"lines": [{"sku": "lamp", "quantity": -2}]}}`
	twoLamps = `{"placed": {"lines": [{"sku": "lamp", "quantity": 2}]}}`
	slip     = `{"arrive": {"quantity": 5}}`
	noSlip   = `{"receive": {"quantity": 5}}`
)

// TestLettersAreRepairedAndCountOnce: listed, shown, and sent again with another value, beside a server that runs and
// on a directory whose server is stopped. What is sent twice counts once, and what is sent once more counts once more.
func TestLettersAreRepairedAndCountOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := "--data=" + dir
	typed(t, 1, []string{"there is no Stockflow's log in " + dir}, "list", data)
	m := newMill(t, dir)
	typed(t, 0, []string{"no dead letters"}, "list", data)
	typed(t, 0, []string{"0 sent again"}, "redrive", "--all", "--yes", data)
	m.write(receipt("lamp", 100))
	bad := &kgo.Record{Topic: processors.OrderEvents, Key: []byte("o-1"), Value: []byte(noLamps),
		Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte("\x1b[2J")}}}
	worse := &kgo.Record{Topic: processors.InventoryEvents, Key: []byte("lamp"), Value: []byte(slip)}
	m.write(bad, worse)
	m.awaitLetters(2)
	badID, worseID := fmt.Sprintf("%s/%d/%d", bad.Topic, bad.Partition, bad.Offset), fmt.Sprintf("%s/%d/%d", worse.Topic, worse.Partition, worse.Offset)

	typed(t, 0, []string{badID, worseID, "o-1", "placed", "lines[0].quantity: must be 1 to", `unknown field "arrive"`}, "list", data)
	typed(t, 0, []string{"these are the newest 1; there are more"}, "list", data, "--limit=1")
	if list := typed(t, 0, nil, "list", data, "--reason-contains=quantity", "--since=1h"); strings.Contains(list, worseID) || !strings.Contains(list, badID) {
		t.Errorf("the letters about a quantity are %s", list)
	}
	typed(t, 0, []string{"no dead letters"}, "list", data, "--since=2999-01-01T00:00:00Z")
	shown := typed(t, 0, []string{`"o-1"`, "lines[0].quantity", "never", `ce_id: \x1b[2J`, `"quantity": "-2"`}, "show", data, badID)
	if strings.Contains(shown, "\x1b") {
		t.Error("a header reaches the terminal as it is")
	}
	if raw := typed(t, 0, nil, "show", data, worseID, "--raw"); raw != slip {
		t.Errorf("the value is %q", raw)
	}
	typed(t, 1, []string{"would become a dead letter again: lines[0].quantity", "1 letter can't be taken"}, "redrive", data, badID, "--yes")
	typed(t, 1, []string{"would stop its partition"}, "redrive", data, badID, "--yes", "--force", "--set-json", `{"rules": 9}`)
	typed(t, 1, []string{"nothing was sent: there is no dead letter order-events/0/12345"}, "redrive", data, badID, "order-events/0/12345", "--yes")

	typed(t, 0, []string{badID + " was sent again"}, "redrive", data, badID, "--yes", "--set-json", twoLamps)
	until(m, m.server.tables.Orders, "o-1", func(s order.State) bool { return s.Status == order.Confirmed })
	typed(t, 0, []string{badID + " is left out: it was sent again before", "0 sent again, 1 left out"}, "redrive", data, badID, "--yes")

	halt(t, m.server)
	file := filepath.Join(t.TempDir(), "repaired")
	if err := os.WriteFile(file, []byte(noSlip), 0o600); err != nil {
		t.Fatal(err)
	}
	typed(t, 0, []string{worseID + " was sent again"}, "redrive", data, worseID, "--yes", "--value", file)
	for range 2 { // the second time is what a crash before the note comes to: the same id
		typed(t, 0, []string{worseID + " was sent again"}, "redrive", data, worseID, "--yes", "--value", file, "--again=1")
	}
	typed(t, 0, []string{worseID + " was sent again"}, "redrive", data, worseID, "--yes", "--value", file, "--again=2")
	var listed struct{ Redriven int }
	if err := json.Unmarshal([]byte(typed(t, 0, nil, "list", data, "--json", "--topic=inventory-events")), &listed); err != nil || listed.Redriven != 4 {
		t.Errorf("the letter was sent again %d times, %v", listed.Redriven, err)
	}

	m = newMill(t, dir)
	m.write(receipt("lamp", 1000)) // behind them
	until(m, m.server.tables.Inventory, "lamp", func(s inventory.State) bool { return s.Received == 100+5+5+5+1000 })
	if s, err := m.server.tables.Inventory.Get("lamp"); err != nil || len(s.Head.Redriven) != 3 {
		t.Errorf("the row is %+v, %v", s, err)
	}
}

// TestARedriveOfAllCountsOnce: more letters of one key than a row remembers, sent by two at once, and by one who was
// killed before he noted what he sent.
func TestARedriveOfAllCountsOnce(t *testing.T) {
	t.Parallel()
	const many = 150
	dir := t.TempDir()
	m := newMill(t, dir)
	var records []*kgo.Record
	for range many {
		r := receipt("lamp", 1)
		r.Headers = []kgo.RecordHeader{{Key: codecs.HeaderOrigin, Value: []byte("order-events/0/1/0")}}
		records = append(records, r)
	}
	m.write(append(records, &kgo.Record{Topic: processors.InventoryEvents, Key: []byte("lamp"), Value: []byte(slip)})...)
	m.awaitLetters(many + 1)
	hasty := spawn(t, "dead-letters", "redrive", "--all", "--data", dir)
	if code := hasty.Exit(); code != 1 || !strings.Contains(hasty.Stderr.String(), "needs --yes") {
		t.Errorf("without being asked it ends with %d and %s", code, hasty.Stderr.String())
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { typed(t, 0, nil, "redrive", "--all", "--yes", "--topic=inventory-events", "--data", dir) })
	}
	both.Wait()
	typed(t, 0, []string{"0 sent again, 1 left out"}, "redrive", "--all", "--yes", "--data", dir)

	unnoted, err := engine.NewRedriver(m.server.Broker(), 8)
	if err != nil {
		t.Fatal(err)
	}
	defer unnoted.Close()
	for _, l := range m.letters() {
		if l.Offset >= many-engine.MostRedriven && l.Offset < many {
			_, err := unnoted.Send(t.Context(), engine.Redrive{DeadLetter: l.DeadLetter, ID: processors.RedriveID(l.DeadLetter, 0)})
			must(t, err)
		}
	}
	m.write(receipt("lamp", 1000))
	until(m, m.server.tables.Inventory, "lamp", func(s inventory.State) bool { return s.Received >= 1000 })
	if s, err := m.server.tables.Inventory.Get("lamp"); err != nil || s.State.Received != many+1000 {
		t.Errorf("%d were received, expected %d: %v", s.State.Received, many+1000, err)
	}
	for _, l := range m.letters() {
		if redriven := l.Redriven > 0; redriven != (l.Offset < many) {
			t.Errorf("letter %s was sent again %d times", l.ID(), l.Redriven)
		}
	}
}

// TestWhatOnlyMachinesSendIsBelievedWhenItIsRedriven, although nothing says which message caused it.
func TestWhatOnlyMachinesSendIsBelievedWhenItIsRedriven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := newMill(t, dir)
	m.write(&kgo.Record{Topic: processors.ShipmentEvents, Key: []byte("o-1"), Value: []byte(`{"schedule":{"lines":[{"sku":"lamp","quantity":1}]}}`)})
	m.awaitLetters(1)
	l := m.letters()[0]
	m.client.want("GET", "/v1/shipments/o-1", "", 404)
	typed(t, 0, []string{l.ID().String() + " was sent again"}, "redrive", l.ID().String(), "--yes", "--data", dir)
	until(m, m.server.tables.Shipments, "o-1", func(s shipment.State) bool { return s.Status == shipment.StatusScheduled })
	m.client.want("GET", "/v1/shipments/o-1", "", 200, `"scheduled"`)
}

// TestOnlyYesIsYes, to one who may be asked.
func TestOnlyYesIsYes(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "YES \n": true, "yes": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		var asked strings.Builder
		err := confirmed(strings.NewReader(answer), &asked, 3, 1)
		if (err == nil) != want || !strings.HasPrefix(asked.String(), "send 3 letters again, 1 of which only machines send? [y/N] ") {
			t.Errorf("%q to %q: %v", answer, asked.String(), err)
		}
	}
	for _, name := range []string{os.DevNull, "dead_letters_test.go"} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if isTerminal(f) {
			t.Errorf("somebody sits behind %s", name)
		}
	}
}

// TestDeadLettersThatMakeNoSense are refused before anything is opened.
func TestDeadLettersThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code       int
		args, says string
	}{
		{2, "redrive", "name the letters, or give --all"},
		{2, "redrive x/1/1 --all", "name the letters, or give --all"},
		{2, "redrive x/1/1 --topic order-events", "--topic: is for --all only"},
		{2, "redrive --all --topic orders", "--topic: must be one of order-events"},
		{2, "redrive --all --again 1", "--again: is for letters that are named"},
		{2, "redrive x/1/1 --again=-1", "--again: must be 0 or more"},
		{2, "redrive --all --set-json {}", "--value and --set-json: are for one letter"},
		{2, "redrive x/1/1 --set-json {} --value x", "--value and --set-json"},
		{2, "list --since yesterday", "--since: \"yesterday\" is neither"},
		{2, "list --limit=-1", "--limit: must be 0 or more"},
		{2, "show", "id"},
		{1, "show order-events/1", "is not the id of a dead letter"},
		{1, "redrive x/1", "is not the id of a dead letter"},
		{1, "redrive x/1/1 --value no-such-file", "--value: open no-such-file"},
		{1, "list --data no-such-directory", "there is no Stockflow's log in no-such-directory"},
	} {
		typed(t, test.code, []string{test.says}, strings.Fields(test.args)...)
	}
}
