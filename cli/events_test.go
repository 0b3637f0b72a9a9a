package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"stockflow/codecs"
	"stockflow/processors"
)

// eventReader is a client that follows a table's events and comes back after each break, as a browser does.
type eventReader struct {
	t    *testing.T
	last string              // the id of the last event
	told map[string][]string // the versions of each row, as they came
	n    int
}

// follow reads from a server until it has read n events in all, or the stream ends.
func (e *eventReader) follow(client *shop, n int) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), "GET", client.url+"/v1/events?table=orders", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	if e.last != "" {
		r.Header.Set("Last-Event-ID", e.last)
	}
	a, err := client.http.Do(r)
	if err != nil || a.StatusCode != 200 {
		e.t.Fatalf("the stream is answered with %v, %v", a, err)
	}
	defer a.Body.Close()
	for lines := bufio.NewScanner(a.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.last = value
		case "data":
			e.take(value)
		}
		if e.n >= n && name == "" {
			return
		}
	}
}

func (e *eventReader) take(data string) {
	var event struct {
		Key string
		Row struct{ Version json.Number }
	}
	if err := json.Unmarshal([]byte(data), &event); err != nil {
		e.t.Errorf("%s: %v", data, err)
	}
	e.told[event.Key] = append(e.told[event.Key], event.Row.Version.String())
	e.n++
}

// TestEventsHaveNoGapOverRestarts: while the server is stopped, started and written to, one reader comes back with its
// last id each time. What it was told is what the changelog has, each change once and in order.
func TestEventsHaveNoGapOverRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, client := open(t, dir)
	reader := &eventReader{t: t, told: map[string][]string{}}
	reader.follow(client, 0)
	client.want("POST", lampPath+"/receipts", `{"quantity": 1000}`, 200)
	for round := range 2 {
		for i := range 5 {
			client.want("POST", "/v1/orders", fmt.Sprintf(`{"order_id":"o-%d-%d","lines":[{"sku":"lamp","quantity":1}]}`, round, i), 201)
		}
		reader.follow(client, reader.n+4) // some of them
		client.want("POST", fmt.Sprintf("/v1/shipments/o-%d-0/dispatch", round), dhl, 200)
		halt(t, server)
		server, client = open(t, dir)
	}
	newQuiet(t, server).wait(t)
	want, n := changesOf(t, server)
	reader.follow(client, n)
	if fmt.Sprint(reader.told) != fmt.Sprint(want) {
		t.Errorf("the reader was told %v\nthe changelog has %v", reader.told, want)
	}
}

// changesOf returns the versions of each order as the changelog has them, and how many they are.
func changesOf(t *testing.T, server *Server) (map[string][]string, int) {
	t.Helper()
	changes, all := map[string][]string{}, records(t, server.Broker(), processors.OrderTable)
	for _, r := range all {
		head, err := codecs.DecodeHead(r.Value)
		must(t, err)
		changes[string(r.Key)] = append(changes[string(r.Key)], fmt.Sprint(head.Applied))
	}
	return changes, len(all)
}
