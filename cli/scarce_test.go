package cli

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

const (
	scarceSKUs = 10
	perSKU     = 30 // units of each
	shoppers   = 20
)

// TestScarceGoodsAreNotSoldTwice lets 20 clients order the same ten SKUs, each order several of them and in another
// order of its lines, until far more was asked for than there is.
func TestScarceGoodsAreNotSoldTwice(t *testing.T) {
	t.Parallel()
	server, client := open(t, t.TempDir())
	units := map[string]int64{}
	for i := range scarceSKUs {
		units[scarce(i)] = perSKU
	}
	receiveAll(client, units)

	var mu sync.Mutex
	var orders []row
	sideBySide(shoppers, 25*shoppers, func(i int) {
		if t.Failed() {
			return // an order without outcome takes its time
		}
		answer := client.want("POST", "/v1/orders", scarceOrder(i), 201)
		mu.Lock()
		defer mu.Unlock()
		orders = append(orders, answer)
	})
	quiet := newQuiet(t, server)
	quiet.wait(t)
	wantNoOversell(client, orders)

	// What rejected orders gave back can be sold still, to the last unit.
	sideBySide(shoppers, scarceSKUs*perSKU, func(i int) {
		client.want("POST", "/v1/orders", `{"policy":"partial","lines":[{"sku":"`+scarce(i)+`","quantity":1}]}`, 201)
	})
	quiet.wait(t)
	for i := range scarceSKUs {
		client.wantStock(scarce(i), perSKU, perSKU)
	}
}

func scarce(i int) string { return fmt.Sprint("scarce-", i%scarceSKUs) }

// scarceOrder is an order of three SKUs, most of them all or nothing. None waits in a queue, as nothing comes in later.
func scarceOrder(i int) string {
	lines := []invoiceLine{{scarce(i), 1}, {scarce(i*7 + 1), 2}, {scarce(i*3 + 2), 1}}
	policy := "all_or_nothing"
	if i%5 == 0 {
		policy = "partial"
	}
	return asJSON(map[string]any{"order_id": fmt.Sprint("o-", i), "policy": policy, "lines": lines})
}

// wantNoOversell expects that the orders have an outcome, the one that their clients were told, that they were given
// no more than there was, and that they hold what the stock says is reserved.
func wantNoOversell(client *shop, orders []row) {
	client.t.Helper()
	held := map[string]int64{}
	var outcomes []string
	for _, told := range orders {
		now := client.look("/v1/orders/" + told.OrderID)
		if now.Status != told.Status {
			client.t.Errorf("order %s is %q, and its client was told that it is %q", told.OrderID, now.Status, told.Status)
		}
		if !slices.Contains(outcomes, now.Status) {
			outcomes = append(outcomes, now.Status)
		}
		for _, l := range now.Lines {
			held[l.SKU] += l.Allocated
		}
	}
	for i := range scarceSKUs {
		if held[scarce(i)] > perSKU {
			client.t.Errorf("%d units of %s were sold of %d", held[scarce(i)], scarce(i), perSKU)
		}
		client.wantStock(scarce(i), perSKU, held[scarce(i)])
	}
	slices.Sort(outcomes)
	if !slices.Equal(outcomes, []string{"confirmed", "rejected"}) {
		client.t.Errorf("the outcomes are %q, expected confirmed and rejected", outcomes)
	}
}
