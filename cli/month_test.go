package cli

import (
	"flag"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// at16 is how many clients there are where clients work side by side.
const at16 = 16

var invoices = flag.Int("invoices", 500/slowed, "of the month that are played; 0 is all of them, as make month has it")

// TestAMonthOfRealOrders plays December 2010 of a wholesaler, one invoice at a time, each settled with all that
// follows from it before the next. A ledger that knows nothing of the machines is kept beside it, and must agree on
// every order and every SKU: when the month is over, and again after a restart on tables that were rebuilt from the logs alone, twice,
// and came out byte for byte the same.
func TestAMonthOfRealOrders(t *testing.T) {
	t.Parallel()
	serve := Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 8}
	server, book := playTheMonth(t, serve, someOf(readMonth(t)))
	halt(t, server)
	rebuiltTwice(t, serve.Data)

	_, client := start(t, serve)
	compare(client, book)
}

// someOf is as much of the month as the tests are told to play.
func someOf(month []*invoice) []*invoice {
	if 0 < *invoices && *invoices < len(month) {
		return month[:*invoices]
	}
	return month
}

// playTheMonth plays invoices on a Stockflow that has nothing yet, and returns it with the book that it agrees with.
func playTheMonth(t *testing.T, serve Serve, invoices []*invoice) (*Server, *ledger) {
	t.Helper()
	server, client := start(t, serve)
	book := newLedger()
	began := time.Now()
	receiveAll(client, received(invoices))
	for sku, n := range received(invoices) {
		book.receive(sku, n)
	}
	quiet := newQuiet(t, server)
	quiet.wait(t)
	t.Logf("%d SKUs were received in %v", len(book.stock), time.Since(began).Round(time.Millisecond))
	began = time.Now()
	for _, v := range invoices {
		got, want := play(client, quiet, v), enter(book, v)
		if !slices.Equal(got, want) || t.Failed() {
			t.Fatalf("Stockflow answers the %s %s with %q, and the ledger with %q", v.kind, v.id, got, want)
		}
	}
	t.Logf("%d invoices were played in %v; the orders are %v", len(invoices), time.Since(began).Round(time.Millisecond), book.outcomes())
	compare(client, book)
	return server, book
}

// receiveAll receives stock with many clients at once.
func receiveAll(client *shop, units map[string]int64) {
	skus := slices.Sorted(maps.Keys(units))
	sideBySide(at16, len(skus), func(i int) {
		path := "/v1/inventory/" + url.PathEscape(skus[i]) + "/receipts"
		body, key := fmt.Sprintf(`{"quantity":%d}`, units[skus[i]]), "Idempotency-Key: opening stock"
		if a, err := client.insist("POST", path, body, key); err != nil || a.status != 200 {
			client.t.Errorf("the receipt of %s is answered with %d %s %v", skus[i], a.status, a.text, err)
		}
	})
}

// sideBySide does n things, so many at a time.
func sideBySide(workers, n int, do func(i int)) {
	next := make(chan int)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	running.Wait()
}

// play sends an invoice, waits until nothing is under way any more, and returns what Stockflow answered: the status
// of an order, or for the others which lines were taken.
func play(client *shop, quiet *quiet, v *invoice) []string {
	defer quiet.wait(client.t)
	if v.kind == anOrder {
		placed := client.want("POST", "/v1/orders", v.request(), 201)
		if v.leaves && placed.Status == "confirmed" {
			quiet.wait(client.t)
			client.want("POST", "/v1/shipments/"+v.id+"/dispatch", v.parcel(), 200, `"dispatched"`)
		}
		return []string{placed.Status}
	}
	var answers []string
	for i := range v.lines {
		answer, err := client.insist(v.adjustment(i))
		if err != nil {
			client.t.Error(err)
		}
		answers = append(answers, adjusted(client.t, answer))
	}
	return answers
}

// adjustment is the request that adjusts the stock by a line of an invoice. It may be repeated.
func (v *invoice) adjustment(i int) (method, path, body, key string) {
	l := v.lines[i]
	return "POST", "/v1/inventory/" + url.PathEscape(l.SKU) + "/adjustments",
		asJSON(map[string]any{"quantity": v.units(i), "reason": string(v.kind)}),
		fmt.Sprintf("Idempotency-Key: %s-%d", v.id, i)
}

// units is by how much a line adjusts: what a customer cancelled comes back.
func (v *invoice) units(i int) int64 {
	if v.kind == aReturn {
		return -v.lines[i].Quantity
	}
	return v.lines[i].Quantity
}

// parcel is the body that dispatches the order of an invoice.
func (v *invoice) parcel() string { return `{"carrier":"Post","tracking_number":"` + v.id + `"}` }

// adjusted reads the answer to an adjustment.
func adjusted(t *testing.T, a answer) string {
	t.Helper()
	switch a.status {
	case 200:
		return "taken"
	case 409:
		return "refused"
	}
	t.Errorf("an adjustment is answered with %d %s", a.status, a.text)
	return ""
}

// enter enters an invoice in the book, and returns what Stockflow is expected to answer.
func enter(book *ledger, v *invoice) []string {
	if v.kind == anOrder {
		s := book.place(v.id, v.policy, v.asked())
		status := s.status
		if v.leaves && status == "confirmed" {
			book.dispatch(v.id)
		}
		return []string{status}
	}
	var answers []string
	for i, l := range v.lines {
		answers = append(answers, map[bool]string{true: "taken", false: "refused"}[book.adjust(l.SKU, v.units(i))])
	}
	return answers
}

// compare expects of every order and every SKU what the book has.
func compare(client *shop, book *ledger) {
	client.t.Helper()
	ids := slices.Sorted(maps.Keys(book.sales))
	sideBySide(at16, len(ids), func(i int) { compareOrder(client, ids[i], book.sales[ids[i]]) })
	skus := slices.Sorted(maps.Keys(book.stock))
	sideBySide(at16, len(skus), func(i int) { compareStock(client, book.stock[skus[i]]) })
}

func compareStock(client *shop, p *pile) {
	if !p.known {
		client.want("GET", "/v1/inventory/"+url.PathEscape(p.sku), "", 404)
		return
	}
	client.wantStock(p.sku, p.onHand, p.reserved)
}

func compareOrder(client *shop, id string, s *sale) {
	got := client.look("/v1/orders/" + id)
	if got.Status != s.status || len(got.Lines) != len(s.asked) {
		client.t.Errorf("order %s is %s with %d lines, expected %s with %d", id, got.Status, len(got.Lines), s.status, len(s.asked))
	}
	for _, l := range got.Lines {
		if l.Quantity != s.asked[l.SKU] || l.Allocated != s.given[l.SKU] {
			client.t.Errorf("of order %s, %s asks for %d and was given %d, expected %d and %d",
				id, l.SKU, l.Quantity, l.Allocated, s.asked[l.SKU], s.given[l.SKU])
		}
	}
}
