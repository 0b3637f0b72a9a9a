package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"stockflow/processors"
)

// items are those of a page.
func (a answer) items() (items []map[string]any) {
	for _, item := range a.json["items"].([]any) {
		items = append(items, item.(map[string]any))
	}
	return items
}

// lines are those of an explanation, by SKU.
func (a answer) lines() map[string]map[string]any {
	lines := map[string]map[string]any{}
	for _, line := range a.json["lines"].([]any) {
		l := line.(map[string]any)
		lines[l["sku"].(string)] = l
	}
	return lines
}

// newRecords returns a house whose every answer is held against the document.
func newRecords(t *testing.T) (*house, *contract) {
	h := newHouse(t)
	c := newContract(t)
	h.client.Transport = c
	return h, c
}

// A row is there as it was after each message of its trail, by the offset of that and by its time.
func TestARowIsFoldedToAnyOffset(t *testing.T) {
	h, c := newRecords(t)
	h.put("/v1/inventory/lamp/receipts", `{"quantity":5}`)
	h.want("POST", "/v1/orders", `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}`, 201)
	h.want("GET", "/v1/orders/o-1", "", 200, "status=confirmed")
	trail := h.want("GET", "/v1/inventory/lamp/events", "", 200).items()
	if len(trail) != 2 {
		t.Fatalf("the trail is %v", trail)
	}
	for _, e := range trail {
		offset := fmt.Sprint(e["offset"])
		was := h.want("GET", "/v1/rows/inventory/lamp?offset="+offset, "", 200, "table=inventory-table", "key=lamp", "offset="+offset)
		head := was.json["row"].(map[string]any)["head"].(map[string]any)
		if applied := head["applied"]; applied != offset && (applied != nil || offset != "0") {
			t.Errorf("after the message at %s the row is %v", offset, was.json["row"])
		}
	}
	last := trail[1]
	now := h.want("GET", "/v1/rows/inventory-table/lamp", "", 200, fmt.Sprint("offset=", last["offset"]))
	then := h.want("GET", "/v1/rows/inventory/lamp?at="+url.QueryEscape(fmt.Sprint(last["at"])), "", 200)
	if now.text != then.text {
		t.Errorf("now the row is %s, and at the time of its last message %s", now.text, then.text)
	}
	h.want("GET", "/v1/rows/lamps/lamp", "", 404, "code=not_found")
	h.want("GET", "/v1/rows/order/o-9", "", 404, "code=not_found")
	for _, bad := range []string{"offset=-1", "offset=x", "offset=1e3", "offset=99999", "offset=1&offset=1", "offset=1&at=1", "at=x", "at=1", "at=2999-01-01T00:00:00Z", "after=x"} {
		h.want("GET", "/v1/rows/inventory/lamp?"+bad, "", 400, "code=invalid")
	}
	h.want("GET", "/v1/rows/inventory/%01", "", 400, "code=invalid")
	c.saw("GET /v1/rows/{table}/{key} 200", "GET /v1/rows/{table}/{key} 400", "GET /v1/rows/{table}/{key} 404")
}

// A life of an order is looked back on at each step of its trail: the row of then is that of the version that the step made.
func TestAnOrderIsAsItWas(t *testing.T) {
	h, c := newRecords(t)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200)
	h.want("POST", "/v1/orders", `{"order_id":"o-1","customer":{"id":"c-1"},"lines":[{"sku":"lamp","quantity":2}]}`, 201)
	h.want("GET", "/v1/orders/o-1", "", 200, "status=confirmed")
	h.want("POST", "/v1/shipments/o-1/dispatch", `{"carrier":"DHL","tracking_number":"X1"}`, 200)
	last := h.send("POST", "/v1/shipments/o-1/deliver", `{}`)
	h.want("GET", "/v1/orders/o-1?wait=10&after="+last.token(), "", 200, "status=delivered")

	trail := h.want("GET", "/v1/orders/o-1/events", "", 200).items()
	var types []string
	for _, e := range trail {
		types = append(types, fmt.Sprint(e["type"]))
		was := h.want("GET", "/v1/orders/o-1?at="+url.QueryEscape(fmt.Sprint(e["at"])), "", 200)
		if was.field("version") < fmt.Sprint(e["offset"]) { // another may have come in the same millisecond
			t.Errorf("at %s the order is %s, expected the version %s", e["at"], was.text, e["offset"])
		}
	}
	if got := strings.Join(types, " "); got != "placed reserved scheduled dispatched delivered" {
		t.Errorf("the trail of the order is %s", got)
	}
	h.wantPath(trail)
	for _, path := range []string{"/v1/orders/o-1", "/v1/inventory/lamp", "/v1/shipments/o-1"} {
		now := h.want("GET", path, "", 200)
		was := h.want("GET", path+"?at="+url.QueryEscape(fmt.Sprint(trail[len(trail)-1]["at"])), "", 200)
		if path == "/v1/orders/o-1" && now.text != was.text {
			t.Errorf("%s is %s, and it was %s", path, now.text, was.text)
		}
	}
	h.want("GET", "/v1/orders/o-1?at=1", "", 400, "code=invalid")
	h.want("GET", "/v1/orders/o-9?at="+url.QueryEscape(fmt.Sprint(trail[0]["at"])), "", 404, "code=not_found")
	h.want("GET", "/v1/orders/o-9/events", "", 404, "code=not_found")
	h.want("GET", "/v1/orders/o-9/explain", "", 404, "code=not_found")
	c.saw("GET /v1/orders/{order_id}/events 200", "GET /v1/orders/{order_id}/events 404", "GET /v1/orders/{order_id} 400")
}

// wantPath expects that what each step of an order caused has landed, and that the steps it led to name it.
func (h *house) wantPath(trail []map[string]any) {
	h.t.Helper()
	caused := trail[0]["caused"].([]any)[0].(map[string]any)
	if caused["log"] != "inventory-events" || caused["key"] != "lamp" || caused["type"] != "reserve" || caused["offset"] == nil {
		h.t.Errorf("the placement caused %v", caused)
	}
	for _, e := range h.want("GET", "/v1/inventory/lamp/events", "", 200).items() {
		if e["type"] != "reserve" {
			continue
		}
		if fmt.Sprint(e["origin"]) != fmt.Sprint(caused["origin"]) || fmt.Sprint(e["offset"]) != fmt.Sprint(caused["offset"]) {
			h.t.Errorf("the reservation %v is not what the placement caused: %v", e, caused)
		}
		answer := e["caused"].([]any)[0].(map[string]any)
		if fmt.Sprint(answer["origin"]) != fmt.Sprint(trail[1]["origin"]) || fmt.Sprint(answer["offset"]) != fmt.Sprint(trail[1]["offset"]) {
			h.t.Errorf("the answer %v is not what the order heard: %v", answer, trail[1])
		}
	}
}

// A trail is walked in pages of any size, refusals and dead letters among its steps.
func TestATrailIsPaged(t *testing.T) {
	h, _ := newRecords(t)
	for i := range 9 {
		h.put("/v1/inventory/lamp/receipts", fmt.Sprintf(`{"quantity":%d}`, i+1))
	}
	h.put("/v1/inventory/lamp/adjustments", `{"quantity":-99,"reason":"loss"}`)
	whole := h.want("GET", "/v1/inventory/lamp/events", "", 200)
	for _, limit := range []int{1, 3, 10} {
		var walked []map[string]any
		for cursor := ""; ; {
			a := h.want("GET", fmt.Sprintf("/v1/inventory/lamp/events?limit=%d%s", limit, cursor), "", 200)
			walked = append(walked, a.items()...)
			if a.json["next"] == nil {
				break
			}
			cursor = "&cursor=" + a.field("next")
		}
		if fmt.Sprint(walked) != fmt.Sprint(whole.items()) {
			t.Errorf("by %d the trail is %v, expected %s", limit, walked, whole.text)
		}
	}
	items := whole.items()
	if last := items[len(items)-1]; len(items) != 10 || last["refusal"] != "below_zero" || fmt.Sprint(last["changed"]) != "[]" {
		t.Errorf("the last of %d is %v", len(items), last)
	}
	h.want("GET", "/v1/inventory/desk/events?cursor="+h.want("GET", "/v1/inventory/lamp/events?limit=1", "", 200).field("next"), "", 400, "code=invalid")
}

// What could not be taken is in the trail with the reason, and changed nothing.
func TestATrailHasDeadLetters(t *testing.T) {
	h, _ := newRecords(t)
	h.want("POST", "/v1/orders", `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}`, 201)
	for _, value := range []string{`{"placed": {"lines": [{"sku": "lamp", "quantity": -2}]}}`, `{"queued": {"sku": "lamp"}}`, "nonsense"} {
		h.write(processors.OrderEvents, "o-1", []byte(value))
	}
	items := h.want("GET", "/v1/orders/o-1/events", "", 200).items()
	for i, want := range []string{"placed lines[0].quantity", "queued queued is sent by machines alone", " not Protobuf of this log"} {
		e := items[len(items)-3+i]
		if got := fmt.Sprint(e["type"], " ", e["reason"]); e["verdict"] != "dead_letter" || !strings.HasPrefix(got, want) || fmt.Sprint(e["changed"]) != "[]" {
			t.Errorf("a dead letter is %v, expected %s", e, want)
		}
	}
}

// Each policy, and each reason to refuse, is explained by the numbers that the decision saw.
func TestOrdersAreExplained(t *testing.T) {
	h, c := newRecords(t)
	token := "" // of the last write, without which what a line waits for may not be seen yet
	place := func(id, policy, sku string, quantity int) {
		t.Helper()
		token = h.want("POST", "/v1/orders", fmt.Sprintf(`{"order_id":%q,"policy":%q,"lines":[{"sku":%q,"quantity":%d}]}`, id, policy, sku, quantity), 201).token()
	}
	explained := func(id, sku, want string) map[string]any {
		t.Helper()
		a := h.want("GET", "/v1/orders/"+id+"/explain?wait=30&after="+token, "", 200)
		line := a.lines()[sku]
		d, _ := line["decision"].(map[string]any)
		waiting, _ := d["waiting"].(map[string]any)
		got := fmt.Sprintf("%v: %v/%v/%v, %v waiting for %v: %v %v %v, short %v, %v", line["status"], d["on_hand"], d["reserved"], d["available"],
			waiting["lines"], waiting["units"], d["answer"], d["given"], d["reason"], d["short"], d["enough"])
		if got != want {
			t.Errorf("%s of %s is explained as\n%s, expected\n%s", sku, id, got, want)
		}
		return line
	}
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200)
	h.want("POST", "/v1/inventory/desk/receipts", `{"quantity":3}`, 200)
	place("given", "all_or_nothing", "lamp", 2)
	explained("given", "lamp", "reserved: 5/0/5, 0 waiting for 0: reserved 2 <nil>, short 0, <nil>")
	place("unknown", "all_or_nothing", "mug", 2)
	explained("unknown", "mug", "refused: 0/0/0, 0 waiting for 0: refused 0 unknown_sku, short 2, a receipt of 2 units: none was ever received or counted")
	place("insufficient", "all_or_nothing", "lamp", 9)
	explained("insufficient", "lamp", "refused: 5/2/3, 0 waiting for 0: refused 0 insufficient, short 6, 6 units more available")
	place("held", "all_or_nothing", "lamp", 4)
	explained("held", "lamp", "refused: 5/2/3, 0 waiting for 0: refused 0 held_by_others, short 1, 1 unit more available; 2 were held by other orders")
	place("part", "partial", "lamp", 4)
	explained("part", "lamp", "reserved: 5/2/3, 0 waiting for 0: reserved 3 <nil>, short 1, 1 unit more available")
	place("nothing", "partial", "lamp", 1)
	explained("nothing", "lamp", "refused: 5/5/0, 0 waiting for 0: refused 0 held_by_others, short 1, 1 unit more available; 5 were held by other orders")

	place("first", "backorder", "desk", 5)
	first := explained("first", "desk", "waiting: 3/0/3, 0 waiting for 0: queued 0 <nil>, short 2, 2 units more available")
	place("second", "backorder", "desk", 2)
	second := explained("second", "desk", "waiting: 3/0/3, 1 waiting for 5: queued 0 <nil>, short 4, 4 units more available: those who waited come first, with 5 units")
	place("behind", "all_or_nothing", "desk", 1)
	explained("behind", "desk", "refused: 3/0/3, 2 waiting for 7: refused 0 queue_ahead, short 5, 5 units more available: those who waited come first, with 7 units")
	for _, w := range []struct {
		line map[string]any
		want string
	}{
		{first, "units 1 0 0 2"},
		{second, "units 2 1 5 4"},
	} {
		waits := w.line["waits"].(map[string]any)
		got := fmt.Sprint(waits["for"], " ", waits["place"], " ", waits["lines_ahead"], " ", waits["units_ahead"], " ", waits["short"])
		if got != w.want || waits["since"] != w.line["decision"].(map[string]any)["at"] {
			t.Errorf("the line waits for %s since %s, expected %s: %v", got, waits["since"], w.want, w.line)
		}
	}
	token = h.want("POST", "/v1/inventory/desk/receipts", `{"quantity":2}`, 200).token()
	h.want("GET", "/v1/orders/first?wait=30&after="+token, "", 200, "status=confirmed")
	served := explained("first", "desk", "reserved: 3/0/3, 0 waiting for 0: queued 0 <nil>, short 2, 2 units more available")
	if served["served"] == nil || served["waits"] != nil {
		t.Errorf("a line that was served is %v", served)
	}
	c.saw("GET /v1/orders/{order_id}/explain 200")
}

// A line that nobody has decided about is explained by what it waits for.
func TestAPendingOrderIsExplained(t *testing.T) {
	h := newHouse(t, "api", "order")
	c := newContract(t)
	h.client.Transport = c
	h.want("POST", "/v1/orders", `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}`, 202)
	h.want("GET", "/v1/orders/o-1", "", 200, "status=pending")
	waits := h.want("GET", "/v1/orders/o-1/explain", "", 200).lines()["lamp"]["waits"].(map[string]any)
	if waits["for"] != "decision" {
		t.Errorf("it waits for %v", waits)
	}
}

// What was looked back on is the same after a restart.
func TestTheHistoryOutlivesAHouse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, stop := settle(t, dir)
	for i := range 70 {
		h.want("POST", "/v1/inventory/lamp/receipts", fmt.Sprintf(`{"quantity":%d}`, i+1), 200)
	}
	paths := []string{"/v1/inventory/lamp/events?limit=200"}
	for _, e := range h.want("GET", paths[0], "", 200).items() {
		paths = append(paths, "/v1/inventory/lamp?at="+url.QueryEscape(fmt.Sprint(e["at"])))
	}
	told := map[string]string{}
	for _, path := range paths {
		told[path] = h.want("GET", path, "", 200).text
	}
	stop()
	h, stop = settle(t, dir)
	defer stop()
	for _, path := range paths {
		if now := h.want("GET", path, "", 200).text; now != told[path] {
			t.Errorf("%s was %s, and is %s", path, told[path], now)
		}
	}
	if first := told[paths[1]]; !strings.Contains(first, `"on_hand":1,`) {
		t.Errorf("after the first receipt there was %s", first)
	}
}
