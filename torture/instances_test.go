package torture

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	"stockflow/stockflowtest"
)

// shareWork goes from one instance to three and back, kills one, and stops one for longer than its session.
func (c *cluster) shareWork() {
	c.begin()
	o := c.watch()
	second, third := c.join("second"), c.join("third")
	c.must(second.Await(second.Ready, "ready"))
	c.must(third.Await(third.Ready, "ready"))
	c.members(3)
	o.settle()
	c.t.Log(o.tell("from one instance to three"))
	c.doors[1].open(second.HTTP, "second ")
	c.agreeAfter(c.first, second, third)

	c.doors[1].open(third.HTTP, "third ")
	second.Kill()
	c.buried(second)
	c.killed++
	c.members(2)
	o.settle()
	c.t.Log(o.tell("one of three killed"))
	c.agreeAfter(c.first, third)

	c.stops++
	third.Signal(syscall.SIGSTOP)
	c.doors[1].open(c.first.HTTP, "first ")
	slept := time.NewTimer(2 * programSession)
	defer slept.Stop()
	c.members(1)
	<-slept.C
	o.settle()
	c.t.Log(o.tell("one of two stopped for twice its session"))
	third.Signal(syscall.SIGCONT)
	c.members(2)
	o.settle()
	c.t.Log(o.tell("it goes on"))
	c.agreeAfter(c.first, third)

	c.must(third.Stop())
	c.buried(third)
	c.members(1)
	o.settle()
	c.t.Log(o.tell("back to one"))
	o.end()
}

// agreeAfter orders at each instance and asks all of them with the token: each shows the order with its outcome,
// whichever took the write, and answers whatever else there is to ask.
func (c *cluster) agreeAfter(instances ...*stockflowtest.Process) {
	c.t.Helper()
	const orders = 8
	asker := newClient(c.t.Context(), c.books, c.probe, fmt.Sprintf("after-%d-%d", len(instances), c.stops), c.seed, 1)
	for i := range orders * len(instances) {
		id, sku := fmt.Sprintf("o-%s-%d", asker.name, i), skuOn(int32(i%partitions))
		body := fmt.Sprintf(`{"order_id":%q,"customer":{"id":"c-%s","email":"ada@example.org"},"policy":"partial","lines":[{"sku":%q,"quantity":1}]}`, id, id, sku)
		a, err := asker.try("POST", instances[i%len(instances)].HTTP+"/v1/orders", body)
		if err != nil || a.status != http.StatusAccepted {
			c.t.Fatalf("%s is answered with %d %s %v", body, a.status, a.text, err)
		}
		c.books.tell(id, "pending", placedSum("partial", map[string]int64{sku: 1}))
		for n, p := range instances {
			got, err := asker.try("GET", p.HTTP+"/v1/orders/"+id+"?wait=10&after="+a.token, "")
			if err != nil || got.status != http.StatusOK || got.row.Status == "pending" {
				c.t.Errorf("instance %d says of %s, which instance %d took: %d %s %v", n, id, i%len(instances), got.status, got.text, err)
			}
		}
		if i < len(instances) {
			c.answerAll(asker, instances, id, sku, "wait=10&after="+a.token)
		}
	}
}

// answerAll wants every instance to answer every query about an order, its stock and its parcel, and all of them alike
// where nothing changes any more.
func (c *cluster) answerAll(asker *client, instances []*stockflowtest.Process, id, sku, after string) {
	c.t.Helper()
	alike := []string{
		"/v1/orders/" + id + "?" + after, "/v1/orders?customer=c-" + id + "&" + after, "/v1/orders/" + id + "/events?" + after, "/v1/orders/" + id + "/explain?" + after,
		"/v1/shipments/" + id + "?" + after, "/v1/rows/order-table/" + id, "/v1/orders/" + id + "?at=" + time.Now().UTC().Format(time.RFC3339Nano),
	}
	answered := []string{
		"/v1/inventory/" + sku + "?" + after, "/v1/inventory?prefix=" + sku + "&" + after, "/v1/inventory/" + sku + "/events?limit=1",
		"/v1/orders?status=confirmed&limit=1", "/v1/shipments?status=scheduled&limit=1", "/v1/notifications/" + id + "?" + after, "/v1/notifications?limit=1", "/v1/dead-letters",
	}
	for i, path := range append(alike, answered...) {
		first := ""
		for n, p := range instances {
			got, err := asker.try("GET", p.HTTP+path, "")
			if err != nil || got.status != http.StatusOK || i < len(alike) && !strings.Contains(got.text, id) {
				c.t.Errorf("instance %d answers GET %s with %d %s %v", n, path, got.status, got.text, err)
			}
			if n == 0 {
				first = got.text
			}
			if i < len(alike) && got.text != first {
				c.t.Errorf("instance %d answers GET %s with %s, and instance 0 with %s", n, path, got.text, first)
			}
		}
	}
}
