package cli

import (
	"fmt"
	"strings"
	"testing"

	"stockflow/stockflowtest"
	"stockflow/stockflowtest/fake"
)

// TestRolesAreShared among processes: one has the API, and one after the other the machines come along. What needs a
// machine that isn't there yet waits, and nothing is lost.
func TestRolesAreShared(t *testing.T) {
	t.Parallel()
	kafka := strings.Join(fake.Open(t).Brokers(), ",")
	join := func(roles string) *stockflowtest.Process {
		p := spawn(t, "serve", "--http", "127.0.0.1:0", "--kafka=off", "--data", t.TempDir(), "--brokers", kafka, "--roles", roles)
		must(t, p.Await(p.Ready, "ready"))
		return p
	}
	first := join("api,order")
	client := newShop(t, strings.TrimPrefix(first.HTTP, "http://"))
	client.noted(lampOrder)
	client.until(orderPath, `"status":"pending"`)
	inventory := join("inventory")
	client.want("GET", orderPath+"?wait=30&after="+client.send("POST", lampPath+"/receipts", fiveUnits).header.Get("Stockflow-Token"), "", 200)
	client.want("POST", "/v1/orders", `{"order_id":"o-2","lines":[{"sku":"lamp","quantity":2}]}`, 201, `"confirmed"`)
	join("shipment,notification")
	for _, id := range []string{"o-2", "o-3"} {
		client.placed(fmt.Sprintf(`{"order_id":%q,"lines":[{"sku":"lamp","quantity":2}]}`, id), "/v1/orders/"+id, `"confirmed"`)
		client.want("POST", "/v1/shipments/"+id+"/dispatch", dhl, 200, `"dispatched"`)
	}
	again := join("inventory,order") // they share partitions
	must(t, inventory.Stop())
	client.placed(`{"order_id":"o-4","lines":[{"sku":"lamp","quantity":1}]}`, "/v1/orders/o-4", `"confirmed"`)
	if a := newShop(t, strings.TrimPrefix(again.HTTP, "http://")).send("GET", lampPath, ""); a.status != 503 {
		t.Errorf("who hasn't the role api answers with %d %s", a.status, a.text)
	}
	told(t, 0, []string{allEqual, "4 orders"}, "verify", "--brokers", kafka, "--url", first.HTTP)
}
