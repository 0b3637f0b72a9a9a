package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"stockflow/cli"
	"stockflow/stockflowtest/fake"
)

// TestTheSystemTellsHowItIs: what is durable grows with what is written, and groups catch up.
func TestTheSystemTellsHowItIs(t *testing.T) {
	h, c := newRecords(t)
	before := h.system()
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":1}`, 200)
	after := h.system()
	if number(t, after, "durable") <= number(t, before, "durable") || number(t, after, "appended") < number(t, after, "durable") {
		t.Errorf("before a receipt the journal is %v, and after it %v", before, after)
	}
	sync, _ := after["sync"].(map[string]any)
	if number(t, sync, "count") == 0 || number(t, after, "files") == 0 || number(t, after, "unsealed_bytes") == 0 {
		t.Errorf("the journal is %v", after)
	}
	h.until(func() (bool, string) {
		a := h.send("GET", "/v1/system", "")
		settled := a.field("topics_that_differ") == "[]" && a.field("partitions") == fmt.Sprint(partitions) && a.json["deployment"] != nil
		groups, _ := a.json["groups"].([]any)
		for _, g := range groups {
			group, _ := g.(map[string]any)
			settled = settled && fmt.Sprint(group["lag"]) == "0"
		}
		return settled && len(groups) == 4, a.text
	})
	c.saw("GET /v1/system 200")
}

func number(t *testing.T, of map[string]any, name string) (n int64) {
	t.Helper()
	if _, err := fmt.Sscan(fmt.Sprint(of[name]), &n); err != nil {
		t.Fatalf("%s is %v: %v", name, of[name], err)
	}
	return n
}

// TestTheSystemAnswersFromTheStart, when nothing was read yet; and has no journal where the logs are on Kafka.
func TestTheSystemAnswersFromTheStart(t *testing.T) {
	t.Parallel()
	server, err := cli.Serve{
		HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: partitions, Brokers: fake.Open(t).Brokers(),
	}.Start(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	h := &house{t: t, server: server, url: "http://" + server.HTTPAddr(), client: http.Client{Transport: newContract(t)}}
	if a := h.want("GET", "/v1/system", "", 200); a.json["journal"] != nil || a.json["version"] == nil {
		t.Errorf("the system is %s", a.text)
	}
}
