package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"stockflow/codecs"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/replay"
)

// wantWait expects what a line waits for, with its place in the queue, the lines and the units ahead and what is short. The
// view may have to catch up first.
func (h *house) wantWait(id, sku, want string) {
	h.t.Helper()
	h.until(func() (bool, string) {
		a := h.send("GET", "/v1/orders/"+id+"/explain", "")
		if a.status != http.StatusOK {
			return false, fmt.Sprint(a.status, " ", a.text)
		}
		waits, _ := a.lines()[sku]["waits"].(map[string]any)
		got := fmt.Sprint(waits["for"], " ", waits["place"], " ", waits["lines_ahead"], " ", waits["units_ahead"], " ", waits["short"])
		since, err := time.Parse(time.RFC3339, fmt.Sprint(waits["since"]))
		return got == want && err == nil && time.Since(since) < time.Hour,
			fmt.Sprintf("%s that %s of %s waits for, expected %s: %s", got, sku, id, want, a.text)
	})
}

// wantStatus expects an order to come to a status. It may be on another partition than what was waited for.
func (h *house) wantStatus(id, want string) {
	h.t.Helper()
	h.until(func() (bool, string) {
		a := h.send("GET", "/v1/orders/"+id, "")
		return a.field("status") == want, fmt.Sprintf("%d %s, expected %s to be %s", a.status, a.text, id, want)
	})
}

// An order goes its way while only one machine works at a time, and at each stop is explained by what it waits for there.
func TestEachWaitIsExplained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	working := func(machine string, do func(h *house)) {
		t.Helper()
		h, stop := settle(t, dir, "api", machine)
		defer stop()
		h.client.Transport = newContract(t)
		do(h)
	}
	working("inventory", func(h *house) {
		h.want("POST", "/v1/inventory/desk/receipts", `{"quantity":3}`, 200)
		h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200)
	})
	working("order", func(h *house) {
		for _, o := range []string{`"first","policy":"backorder","lines":[{"sku":"desk","quantity":5}]`,
			`"second","policy":"backorder","lines":[{"sku":"desk","quantity":2}]`, `"third","lines":[{"sku":"lamp","quantity":2}]`} {
			if a := h.send("POST", "/v1/orders", `{"order_id":`+o+`}`); a.status != http.StatusAccepted {
				t.Errorf("an order is answered with %d %s", a.status, a.text)
			}
		}
		h.wantWait("first", "desk", "decision <nil> <nil> <nil> <nil>")
		h.wantWait("third", "lamp", "decision <nil> <nil> <nil> <nil>")
	})
	working("inventory", func(h *house) { // the receipts come after the requests
		h.want("POST", "/v1/inventory/desk/receipts", `{"quantity":1}`, 200)
		h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":1}`, 200)
		h.wantWait("first", "desk", "units 1 0 0 1")
		h.wantWait("second", "desk", "units 2 1 5 3")
		h.wantWait("third", "lamp", "answer <nil> <nil> <nil> <nil>")
	})
	working("order", func(h *house) { // the cancellation comes after the answers
		h.send("POST", "/v1/orders/first/cancel", `{}`)
		h.wantWait("first", "desk", "withdrawal <nil> <nil> <nil> <nil>")
		h.wantWait("second", "desk", "units 2 1 5 3")
		h.wantStatus("third", "confirmed")
	})
	working("inventory", func(h *house) { // the second moves up, and has its units
		h.want("POST", "/v1/inventory/desk/receipts", `{"quantity":1}`, 200)
		h.wantWait("second", "desk", "answer <nil> <nil> <nil> <nil>")
	})
}

// A row is in its table only when its requests are in their log, so a request that isn't there is one that was lost. It is
// told as what it is.
func TestALostRequestIsExplained(t *testing.T) {
	h := newHouse(t, "api")
	_, value := codecs.EncodeOrderEvent(order.Placed{Lines: []order.PlacedLine{{SKU: "lamp", Quantity: 2}}})
	placed := h.write(processors.OrderEvents, "o-1", value)
	step, err := replay.Machines[0].Fold(replay.RecordOf(placed), replay.World{Partitions: 4, Row: func(string) ([]byte, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	h.write(processors.OrderTable, "o-1", step.After)
	h.wantWait("o-1", "lamp", "request <nil> <nil> <nil> <nil>")
}

// An explanation and a trail that come after a write have what followed from it, and say so when they can't.
func TestAnExplanationComesAfterAWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, stop := settle(t, dir)
	h.client.Transport = newContract(t)
	last := func(events []map[string]any) string { return fmt.Sprint(events[len(events)-1]["type"]) }
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":50}`, 200)
	for i := range 20 { // any of which would be seen too soon, if it is not waited for
		id := fmt.Sprint("o-", i)
		a := h.send("POST", "/v1/orders", `{"order_id":"`+id+`","lines":[{"sku":"lamp","quantity":2}]}`)
		after := "?wait=30&after=" + a.token()
		line := h.want("GET", "/v1/orders/"+id+"/explain"+after, "", 200, "status=confirmed").lines()["lamp"]
		if line["decision"] == nil || line["waits"] != nil {
			t.Errorf("a line that was decided is explained as %v", line)
		}
		if got := last(h.want("GET", "/v1/orders/"+id+"/events"+after, "", 200).items()); got != "scheduled" {
			t.Errorf("the trail of the order ends with %s", got)
		}
		a = h.want("POST", "/v1/shipments/"+id+"/dispatch", `{"carrier":"DHL","tracking_number":"1"}`, 200)
		after = "?wait=30&limit=200&after=" + a.token()
		if got := last(h.want("GET", "/v1/inventory/lamp/events"+after, "", 200).items()); got != "ship" {
			t.Errorf("the trail of the stock ends with %s", got)
		}
	}
	stop()
	h, stop = settle(t, dir, "api", "order")
	defer stop()
	h.client.Transport = newContract(t)
	receipt := h.send("POST", "/v1/inventory/lamp/receipts", `{"quantity":1}`)
	for _, path := range []string{"/v1/orders/o-0/explain", "/v1/orders/o-0/events", "/v1/inventory/lamp/events"} {
		h.want("GET", path+"?wait=0&after="+receipt.token(), "", 504, "code=not_yet")
		h.want("GET", path+"?after=x", "", 400, "code=invalid")
		h.want("GET", path, "", 200)
	}
}
