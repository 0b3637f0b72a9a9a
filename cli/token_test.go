package cli

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var writes = flag.Int("writes", 2000/slowed, "each of which is followed by a read; make month has 10,000")

// Every client has a SKU of its own, so it knows what the stock must be after each of its orders.
func TestAReadAfterAWriteIsNeverStale(t *testing.T) {
	t.Parallel()
	const clients = 25
	orders := *writes / clients
	_, client := open(t, t.TempDir())
	var stale atomic.Int64
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			sku := fmt.Sprintf("sku-%d", c)
			client.want("POST", "/v1/inventory/"+sku+"/receipts", `{"quantity":100000}`, 200)
			for n := range orders {
				a := client.send("POST", "/v1/orders", `{"lines":[{"sku":"`+sku+`","quantity":1}]}`)
				token := a.header.Get("Stockflow-Token")
				read := client.send("GET", "/v1/inventory/"+sku+"?wait=30&after="+token, "")
				if want := fmt.Sprintf(`"reserved":%d,`, n+1); !strings.Contains(read.text, want) {
					stale.Add(1)
					t.Errorf("after order %d of %s: %d %s", n+1, sku, read.status, read.text)
					return
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d writes, each followed by a read of another view: %d stale", clients*orders, stale.Load())
}

func TestEveryConsequenceIsSeen(t *testing.T) {
	t.Parallel()
	server, client := open(t, t.TempDir())
	after := func(a answer, path string) string { // how a client reads its write
		t.Helper()
		token := a.header.Get("Stockflow-Token")
		if token == "" {
			t.Fatalf("no token with %d %s", a.status, a.text)
		}
		r := client.send("GET", path+"?wait=30&after="+token, "")
		if r.status != 200 {
			t.Errorf("%s is answered with %d %s", path, r.status, r.text)
		}
		return r.text
	}
	has := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %s", text, want)
		}
	}
	waits := client.send("POST", "/v1/orders", `{"order_id":"b","policy":"backorder","lines":[{"sku":"lamp","quantity":3}]}`)
	has(after(waits, "/v1/orders/b"), `"status":"backordered"`)

	received := client.send("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`)
	has(after(received, "/v1/inventory/lamp"), `"reserved":3`)
	has(after(received, "/v1/orders/b"), `"status":"confirmed"`)
	has(after(received, "/v1/shipments/b"), `"status":"scheduled"`)

	sent := client.send("POST", "/v1/shipments/b/dispatch", `{"carrier":"DHL","tracking_number":"1"}`)
	has(after(sent, "/v1/inventory/lamp"), `"on_hand":2`)
	refused, err := client.insist("POST", "/v1/orders/b/cancel", "")
	if err != nil || refused.status != 409 {
		t.Errorf("a shipped order was cancelled: %d %s, %v", refused.status, refused.text, err)
	}
	has(after(refused, "/v1/orders/b"), `"status":"shipped"`)

	// A repeated placement changes nothing, and is seen to.
	again := client.send("POST", "/v1/orders", `{"order_id":"b","policy":"backorder","lines":[{"sku":"lamp","quantity":3}]}`)
	has(after(again, "/v1/inventory/lamp"), `"on_hand":2`)
	halt(t, server)
}

func TestBadTokensAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, client := open(t, dir)
	token := client.send("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`).header.Get("Stockflow-Token")
	_, other := open(t, t.TempDir())
	other.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200)
	for _, bad := range []string{"", "nonsense", token[:len(token)-1], token[:8] + "AAAA" + token[12:], strings.ToUpper(token)} {
		client.want("GET", "/v1/inventory/lamp?after="+bad, "", 400, `"field":"after"`)
	}
	other.want("GET", "/v1/inventory/lamp?after="+token, "", 400, `"field":"after"`)
	client.want("GET", "/v1/inventory/lamp?wait=-1&after="+token, "", 400, `"field":"wait"`)
	client.want("GET", "/v1/inventory/lamp?wait=30&after="+token, "", 200)

	// After a restart it is known that the write was taken in, and no longer what it caused.
	halt(t, server)
	_, client = open(t, dir)
	client.want("GET", "/v1/inventory/lamp?after="+token, "", 410, "token_expired")
}

// What was not taken in is not waited for longer than asked, and it is said what is missing.
func TestAReadAfterAWriteThatIsNotTakenIn(t *testing.T) {
	t.Parallel()
	_, client := open(t, t.TempDir(), "api", "inventory") // nobody takes orders
	a := client.send("POST", "/v1/orders", `{"lines":[{"sku":"lamp","quantity":1}]}`)
	client.want("GET", "/v1/inventory/lamp?wait=0.1&after="+a.header.Get("Stockflow-Token"), "", 504, "not_yet", "the write itself, order-events/")
}
