package api_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"

	"stockflow/cli"
	"stockflow/journal"
	"stockflow/journal/files/powercut"
	"stockflow/processors"
)

// letter writes a message that nobody can take, waits until it is a letter, and returns where it is sent again.
func (h *house) letter(log, key, value string) string {
	h.t.Helper()
	r := h.write(log, key, []byte(value))
	id := fmt.Sprintf("%s/%d/%d", log, r.Partition, r.Offset)
	h.until(func() (bool, string) {
		a := h.send("GET", "/v1/dead-letters?limit=200", "")
		for _, l := range a.items() {
			if l["id"] == id {
				return true, ""
			}
		}
		return false, a.text
	})
	return "/v1/dead-letters/" + url.PathEscape(id) + "/redrive"
}

// TestADeadLetterIsSentAgain, repaired, once, and once more for each time that it is told to; and it says why not.
func TestADeadLetterIsSentAgain(t *testing.T) {
	h, c := newRecords(t)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":100}`, 200)
	bad := h.letter(processors.OrderEvents, "o-1", `{"placed":{"lines":[{"sku":"lamp","quantity":-2}]}}`)
	h.want("POST", bad, ``, 409, "code=still_unfit", "detail="+
		`Nothing was sent. Repair it with "value" or "json", or send it nevertheless with "force". lines[0].quantity: must be 1 to 1000000000, is -2.`)
	h.want("POST", bad, `{"json":{"rules":9},"force":true}`, 409, "code=would_halt")
	h.want("POST", "/v1/dead-letters/order-events%2F0%2F12345/redrive", `{}`, 404, "code=unknown_letter")

	a := h.want("POST", bad, `{"json":{"placed":{"lines":[{"sku":"lamp","quantity":2}]}}}`, 200, "log=order-events", "redriven=1")
	if a.field("redrive_id") != a.field("id") || a.field("partition") == "<nil>" || a.field("offset") == "<nil>" {
		t.Errorf("the answer is %s", a.text)
	}
	h.want("GET", "/v1/orders/o-1?wait=30&after="+a.token(), "", 200, "status=confirmed")
	h.want("POST", bad, `{}`, 409, "code=already_redriven", `detail=Nothing was sent. It was sent again before. "again": 1 sends it once more, and it counts once more.`)

	slip := h.letter(processors.InventoryEvents, "lamp", `{"arrive":{"quantity":5}}`)
	value := base64.StdEncoding.EncodeToString([]byte(`{"receive":{"quantity":5}}`))
	h.want("POST", slip, `{"value":"`+value+`"}`, 200, "redriven=1")
	for range 2 { // the second time is what a repeat comes to: the same id
		h.want("POST", slip, `{"value":"`+value+`","again":1}`, 200)
	}
	a = h.want("POST", slip, `{"value":"`+value+`","again":2}`, 200, "redriven=4")
	h.want("GET", "/v1/inventory/lamp?wait=30&after="+a.token(), "", 200, "on_hand=115")
	forced := h.want("POST", slip, `{"again":3,"force":true}`, 200)
	h.until(func() (bool, string) { // it is a letter again
		a := h.send("GET", "/v1/dead-letters?topic=inventory-events", "")
		return len(a.items()) == 2, forced.text + a.text
	})
	c.saw("POST /v1/dead-letters/{id}/redrive 200", "POST /v1/dead-letters/{id}/redrive 404", "POST /v1/dead-letters/{id}/redrive 409")
}

// TestARedriveThatMakesNoSenseIsRefused, with each bad field.
func TestARedriveThatMakesNoSenseIsRefused(t *testing.T) {
	h, _ := newRecords(t)
	const path = "/v1/dead-letters/order-events%2F0%2F1/redrive"
	for _, c := range []struct{ path, body, field string }{
		{"/v1/dead-letters/o-1/redrive", `{}`, "id"},
		{"/v1/dead-letters/order-events%2F-1%2F1/redrive", `{}`, "id"},
		{path, `{"again":-1}`, "again"},
		{path, `{"again":1.5}`, "again"},
		{path, `{"value":"%"}`, "value"},
		{path, `{"value":""}`, "value"},
		{path, `{"value":"eA==","json":{}}`, "json"},
		{path, `{"json":[1]}`, "json"},
		{path, `{"json":"x"}`, "json"},
		{path, `{"force":1}`, "force"},
		{path, `{"times":1}`, "times"},
	} {
		a := h.want("POST", c.path, c.body, 400, "code=invalid")
		errors, _ := a.json["errors"].([]any)
		if first, ok := errors[0].(map[string]any); len(errors) != 1 || !ok || first["field"] != c.field {
			t.Errorf("%s %s is answered with %s, expected %s", c.path, c.body, a.text, c.field)
		}
	}
	h.want("POST", path, `{"json":{"a":}`, 400, "code=bad_json")
	h.want("POST", path, `{"json":{"a":1}`, 400, "code=bad_json")
	h.want("POST", path, `{"json":null,"value":null,"again":null,"force":null}`, 404)
}

// TestARedriveCountsOnceOverAPowerCut at any moment of it, when it is asked for again after that.
func TestARedriveCountsOnceOverAPowerCut(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 9))
	dir, disk := t.TempDir(), powercut.New()
	start := func() *house {
		h, _ := settled(t, cli.Serve{Data: dir}.OnJournal(journal.Options{Files: disk, TailBytes: tailBytes}))
		return h
	}
	const repaired = `{"json":{"receive":{"quantity":5}}}`
	h := start()
	for i := range 8 { // each moment twice
		sku := fmt.Sprint("lamp-", i)
		path := h.letter(processors.InventoryEvents, sku, `{"arrive":{"quantity":5}}`)
		disk.CutAt(disk.Changes() + i/2)
		first := h.send("POST", path, repaired)
		_ = h.server.Stop() // which fails without power

		disk = disk.Cut(rng)
		h = start()
		again := h.send("POST", path, repaired)
		known := again.field("code") == "already_redriven"
		if again.status != 200 && !known || first.status == 200 && !known {
			t.Errorf("cut at %d: it is answered with %d %s, and then with %d %s", i, first.status, first.text, again.status, again.text)
		}
		h.want("POST", "/v1/inventory/"+sku+"/receipts", `{"quantity":1}`, 200, "on_hand=6")
	}
	if err := h.server.Stop(); err != nil {
		t.Error(err)
	}
}
