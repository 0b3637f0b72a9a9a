package cli

import (
	"fmt"
	"testing"
)

// TestAnOrderMayBeCancelledUntilItHasLeft cancels orders in every state that one can be in, and looks at the stock
// when all has followed.
func TestAnOrderMayBeCancelledUntilItHasLeft(t *testing.T) {
	t.Parallel()
	server, client := open(t, t.TempDir())
	quiet := newQuiet(t, server)
	place := func(id, policy string, quantity int, status string) {
		t.Helper()
		client.want("POST", "/v1/orders", fmt.Sprintf(`{"order_id":%q,"policy":%q,"lines":[{"sku":"lamp","quantity":%d}]}`,
			id, policy, quantity), 201, `"status":"`+status+`"`)
	}
	cancel := func(id string, status int, says string, onHand, reserved int64) {
		t.Helper()
		client.want("POST", "/v1/orders/"+id+"/cancel", "", status, says)
		quiet.wait(t)
		client.wantStock("lamp", onHand, reserved)
	}
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	client.want("POST", "/v1/orders/nobody/cancel", "", 404, "unknown_order")

	place("rejected", "all_or_nothing", 6, "rejected")
	cancel("rejected", 409, "already_rejected", 5, 0)
	place("confirmed", "all_or_nothing", 4, "confirmed")
	place("first", "backorder", 3, "backordered")
	place("second", "backorder", 1, "backordered")
	cancel("first", 200, `"status":"cancelled"`, 5, 5) // the second is served in its stead
	client.want("GET", "/v1/orders/second", "", 200, `"status":"confirmed"`)
	place("third", "backorder", 5, "backordered")
	cancel("confirmed", 200, `"status":"cancelled"`, 5, 1)
	cancel("confirmed", 200, `"status":"cancelled"`, 5, 1)
	client.want("POST", "/v1/shipments/confirmed/dispatch", dhl, 409, "shipment_cancelled")
	cancel("second", 200, `"status":"cancelled"`, 5, 5) // all five are the third's now
	client.want("GET", "/v1/orders/third", "", 200, `"status":"confirmed"`)
	quiet.wait(t)
	client.want("POST", "/v1/shipments/third/dispatch", dhl, 200)
	cancel("third", 409, "already_shipped", 0, 0)
	client.want("POST", "/v1/shipments/third/deliver", "", 200)
	cancel("third", 409, "already_shipped", 0, 0)
}

// TestAnOrderMayBeCancelledBeforeItIsAnswered: while no process keeps the stock, orders are pending. When one comes,
// it answers first what was asked first, and what a cancelled order was given comes back.
func TestAnOrderMayBeCancelledBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, client := open(t, dir)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	halt(t, server)

	server, client = open(t, dir, "api", "order", "shipment")
	place := func(id, rest string) {
		t.Helper()
		client.noted(`{"order_id":"` + id + `",` + rest)
		client.until("/v1/orders/"+id, `"status":"pending"`)
	}
	place("held", `"lines":[{"sku":"lamp","quantity":5}]}`)
	place("queued", `"policy":"backorder","lines":[{"sku":"lamp","quantity":1},{"sku":"desk","quantity":1}]}`)
	client.want("POST", "/v1/orders/held/cancel", "", 200, `"status":"cancelled"`)
	client.want("POST", "/v1/orders/queued/cancel", "", 200, `"status":"cancelled"`)
	place("o-1", `"lines":[{"sku":"lamp","quantity":2}]}`)
	halt(t, server)

	server, client = open(t, dir)
	newQuiet(t, server).wait(t)
	client.wantStock("lamp", 5, 0) // o-1 came when the others held it all
	for id, status := range map[string]string{"held": "cancelled", "queued": "cancelled", "o-1": "rejected"} {
		client.want("GET", "/v1/orders/"+id, "", 200, `"status":"`+status+`"`, `"allocated":0`)
	}
	client.want("POST", "/v1/inventory/desk/receipts", fiveUnits, 200, `"on_hand":5,"reserved":0`) // nobody waits any more
}

// TestWhatIsSentAgainCountsOnce, and with other content it is a conflict that changes nothing: before a restart and
// after it.
func TestWhatIsSentAgainCountsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, client := open(t, dir)
	for range 2 {
		for range 2 {
			wantKeyed(client, lampPath+"/receipts", fiveUnits, "r-1", 200)
			wantKeyed(client, lampPath+"/adjustments", `{"quantity":-1,"reason":"damage"}`, "a-1", 200)
			client.want("POST", "/v1/orders", lampOrder, 201, `"confirmed"`)
			wantKeyed(client, "/v1/orders", `{"lines":[{"sku":"lamp","quantity":1}]}`, "k-1", 201)
		}
		wantKeyed(client, lampPath+"/receipts", `{"quantity":6}`, "r-1", 409)
		wantKeyed(client, lampPath+"/adjustments", `{"quantity":-1,"reason":"loss"}`, "a-1", 409)
		wantKeyed(client, "/v1/orders", `{"lines":[{"sku":"lamp","quantity":2}]}`, "k-1", 409)
		client.want("POST", "/v1/orders", `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":1}]}`, 409, "id_conflict")
		newQuiet(t, server).wait(t)
		client.wantStock("lamp", 4, 3)
		halt(t, server)
		server, client = open(t, dir)
	}
}

// wantKeyed sends a request with an Idempotency-Key.
func wantKeyed(client *shop, path, body, key string, status int) {
	client.t.Helper()
	a, err := client.insist("POST", path, body, "Idempotency-Key: "+key, "Prefer: wait=10")
	if err != nil || a.status != status || status == 409 && client.row(a).Code != "id_conflict" {
		client.t.Errorf("%s %s %s is answered with %d %s, %v, expected %d", path, key, body, a.status, a.text, err, status)
	}
}
