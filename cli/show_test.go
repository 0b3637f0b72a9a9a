package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockflow/api"
	"stockflow/broker"
)

// shows carries out show with a command line, and expects its exit code and a text in what it prints.
func shows(t *testing.T, code int, says string, args ...string) string {
	t.Helper()
	var stdout, stderr strings.Builder
	if got := run(append([]string{"show"}, args...), &stdout, &stderr); got != code || !strings.Contains(stdout.String()+stderr.String(), says) {
		t.Errorf("show %q ends with %d: %s%s\nexpected %d with %q in it", args, got, stdout.String(), stderr.String(), code, says)
	}
	return stdout.String()
}

// TestRowsAreShownNowAndAsTheyWere beside a server that runs, over its HTTP, on a directory whose server is
// stopped, and on one that has lost its history. All say the same.
func TestRowsAreShownNowAndAsTheyWere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := "--data=" + dir
	shows(t, 1, "there is no Stockflow's log in "+dir, "order", "o-1", data)
	server, client := open(t, dir)
	lampsAndAnOrder(client)
	running := tellAll(t, data)
	nobody := "--brokers=127.0.0.1:1" // so that it is HTTP that has them
	if asked := tellAll(t, nobody, "--url=http://"+server.HTTPAddr()+"/"); asked != running {
		t.Errorf("over HTTP the rows are %s, expected %s", asked, running)
	}
	shows(t, 1, "--url: ", "order", "o-1", nobody, "--url=http://127.0.0.1:1")
	halt(t, server)
	if stopped := tellAll(t, data); stopped != running {
		t.Errorf("on a stopped directory the rows are %s, expected %s", stopped, running)
	}
	if err := os.RemoveAll(filepath.Join(dir, "history")); err != nil {
		t.Fatal(err)
	}
	if without := tellAll(t, data); without != running {
		t.Errorf("without a history the rows are %s, expected %s", without, running)
	}
	for _, bad := range []struct{ says, table, key, at string }{
		{`there is no table "orders"`, "orders", "o-1", ""},
		{`there is no table "\x1b"`, "\x1b", "o-1", ""},
		{"there is no row of o-9 in order", "order", "o-9", ""},
		{"KEY: must not", "order", "o/9", ""},
		{"--at: x is neither a time", "order", "o-1", "x"},
		{"is in the future", "order", "o-1", "2999-01-01T00:00:00Z"},
		{"--at: it is before order-events begins: its first message came at 2", "order", "o-1", "1999-01-01T00:00:00Z"},
		{"has offsets from 0 to ", "inventory", "lamp", "1000"},
	} {
		args := []string{bad.table, bad.key, data}
		if bad.at != "" {
			args = append(args, "--at="+bad.at)
		}
		shows(t, 1, bad.says, args...)
	}
}

// TestRowsOnKafkaAreShown by the address of its brokers as over HTTP.
func TestRowsOnKafkaAreShown(t *testing.T) {
	t.Parallel()
	p := onKafka(t)
	server, client := start(t, p.serve())
	lampsAndAnOrder(client)
	if by, asked := tellAll(t, p.flags()...), tellAll(t, "--brokers=127.0.0.1:1", "--url=http://"+server.HTTPAddr()); by != asked {
		t.Errorf("by the brokers' address the rows are %s, expected %s", by, asked)
	}
}

// lampsAndAnOrder make rows of which there is something to show.
func lampsAndAnOrder(client *shop) {
	client.t.Helper()
	for i := range 70 {
		client.want("POST", "/v1/inventory/lamp/receipts", fmt.Sprintf(`{"quantity":%d}`, i+1), 200)
	}
	client.placed(lampOrder, orderPath, `"version":2`)
}

// tellAll returns what is told of the rows of two tables, now and at some offsets.
func tellAll(t *testing.T, where ...string) string {
	t.Helper()
	var all strings.Builder
	shows(t, 0, "after     inventory-events/", append([]string{"inventory", "lamp"}, where...)...)
	for _, args := range [][]string{
		{"inventory", "lamp"}, {"order-table", "o-1"}, {"inventory", "lamp", "--at=0"}, {"inventory", "lamp", "--at=40"}, {"inventory", "lamp", "--at=64"},
	} {
		args = append(append(args, "--json"), where...)
		text := shows(t, 0, `"row": {`, args...)
		var row api.FoldedRow
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			t.Errorf("%q is no JSON: %v", text, err)
		}
		if at := "--at=" + row.At; args[0] == "order-table" {
			shows(t, 0, `"row": {`, append(args, at)...)
		}
		all.WriteString(text)
	}
	return all.String()
}

// While the history is read, nobody else begins to write it; beside a Stockflow that has the directory the log is read instead.
func TestTheHistoryIsReadByWhoHoldsIt(t *testing.T) {
	c := show{logsAt: logsAt{Data: t.TempDir()}}
	dir, release := c.holdHistory()
	if dir == "" {
		t.Fatal("nobody has the directory, and its history is not read")
	}
	if _, err := broker.Hold(c.Data); err == nil {
		t.Error("a Stockflow begins to write the history while it is read")
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err := broker.Hold(c.Data)
	if err != nil {
		t.Fatal("it is still held: ", err)
	}
	if dir, nothing := c.holdHistory(); dir != "" || nothing() != nil {
		t.Errorf("%s is read while it is written", dir)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
