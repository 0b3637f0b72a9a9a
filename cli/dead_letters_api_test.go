package cli

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/processors"
)

// TestDeadLettersOverHTTP: page by page, of one log or of all; and in time when the log can't be read.
func TestDeadLettersOverHTTP(t *testing.T) {
	t.Parallel()
	m := newMill(t, t.TempDir())
	const path = "/v1/dead-letters"
	m.client.want("GET", path, "", 200, `{"items":[]}`)
	var want []string
	for i := range 3 { // one after the other, so that their times differ or their places do
		r := &kgo.Record{Topic: processors.OrderEvents, Key: []byte("o-1"), Value: []byte(noLamps)}
		m.write(r)
		want = append([]string{fmt.Sprintf("order-events/%d/%d", r.Partition, r.Offset)}, want...)
		m.awaitLetters(int64(i) + 1)
	}
	m.write(&kgo.Record{Topic: processors.ShipmentEvents, Key: []byte("o-1")})
	m.awaitLetters(4)
	query := "?topic=order-events&limit=1"
	next := ""
	for i, id := range want {
		var page struct {
			Items []struct{ ID, Key, Event string }
			Next  string
		}
		a := m.client.send("GET", path+query+next, "")
		if err := json.Unmarshal([]byte(a.text), &page); err != nil || len(page.Items) != 1 || page.Items[0].ID != id || page.Items[0].Event != "placed" {
			t.Fatalf("page %d is %s, expected %s", i, a.text, id)
		}
		if last := i == len(want)-1; last != (page.Next == "") {
			t.Fatalf("behind page %d comes %q", i, page.Next)
		}
		next = "&cursor=" + page.Next
	}
	m.client.want("GET", path+"?topic=shipment-events", "", 200, `"reason":"the message has no value"`)
	var first struct{ Next string }
	if err := json.Unmarshal([]byte(m.client.send("GET", path+"?limit=1", "").text), &first); err != nil {
		t.Fatal(err)
	}
	for query, says := range map[string]string{
		"?topic=orders": `"field":"topic"`, "?limit=0": `"field":"limit"`, "?limit=201": `"field":"limit"`,
		"?cursor=x": `"field":"cursor"`, query + "&cursor=" + first.Next: "of another list", "?after=x": `"field":"after"`,
		"?reason=x": `"field":"reason"`, "?topic=order-events&topic=order-events": "given twice",
	} {
		m.client.want("GET", path+query, "", 400, says)
	}
	m.client.want("POST", path, "", 405)
	if err := m.server.Journal().Close(); err != nil {
		t.Fatal(err)
	}
	if a := m.client.send("GET", path, ""); a.status != 503 || a.header.Get("Retry-After") == "" || m.client.row(a).Code != "log_unreachable" {
		t.Errorf("without a log it is answered with %d %s", a.status, a.text)
	}
}
