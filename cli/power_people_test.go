package cli

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"stockflow/processors"
)

// open lets people use a program, until end is called. What they are shown goes into the truth.
func (l *powerLife) open() (end func()) {
	ctx, cancel := context.WithCancel(l.plant.Context())
	var all sync.WaitGroup
	for range 4 {
		l.plant.clients++
		c := &powerClient{powerLife: l, rng: rand.New(rand.NewPCG(uint64(l.plant.clients), 16)), name: fmt.Sprint("p-", l.plant.clients)}
		all.Go(func() {
			for ctx.Err() == nil {
				c.act()
			}
		})
	}
	all.Go(func() { l.follow(ctx) })
	return func() { cancel(); all.Wait() }
}

// powerClient does one thing after the other.
type powerClient struct {
	*powerLife
	rng  *rand.Rand
	name string
	n    int
}

func (c *powerClient) act() {
	sku := fmt.Sprint("sku-", c.rng.IntN(5))
	order := fmt.Sprintf("%s-%d", c.name, c.rng.IntN(c.n+1))
	switch k := c.rng.IntN(12); {
	case k < 4 || c.n == 0:
		c.n++
		order = fmt.Sprintf("%s-%d", c.name, c.n)
		c.plant.truth.place(order)
		policy := []string{"all_or_nothing", "partial", "backorder"}[c.rng.IntN(3)]
		body := fmt.Sprintf(`{"order_id":%q,"policy":%q,"customer":{"id":"ada","email":"ada@example.org"},"lines":[{"sku":%q,"quantity":%d}]}`, order, policy, sku, 1+c.rng.IntN(3))
		c.send("POST", "/v1/orders", body, processors.OrderTable, order, "Prefer: wait=2")
	case k < 7:
		c.send("POST", "/v1/inventory/"+sku+"/receipts", `{"quantity":4}`, processors.InventoryTable, sku, fmt.Sprint("Idempotency-Key: power-", keys.Add(1)))
	case k < 8:
		c.send("POST", "/v1/orders/"+order+"/cancel", "", processors.OrderTable, order)
	case k < 10:
		c.send("POST", "/v1/shipments/"+order+"/dispatch", dhl, processors.ShipmentTable, order)
	case k < 11:
		c.send("GET", "/v1/orders/"+order, "", processors.OrderTable, order)
	default:
		c.send("GET", "/v1/inventory/"+sku, "", processors.InventoryTable, sku)
	}
}

// send sends a request, and notes what it is answered about a row.
func (c *powerClient) send(method, path, body, table, key string, headers ...string) {
	a, err := c.client.try(method, path, body, headers...)
	switch {
	case err != nil || a.status >= http.StatusInternalServerError: // it is not known whether it counts
	case a.status == http.StatusAccepted:
		c.plant.truth.accept(table, key)
	case a.status < http.StatusMultipleChoices:
		c.plant.truth.show(table, key, []byte(a.text))
	}
	if token := a.header.Get("Stockflow-Token"); a.status < http.StatusInternalServerError && token != "" {
		c.plant.truth.give(table, key, token)
	}
}

// follow reads events, from the last one that was read before the power went.
func (l *powerLife) follow(ctx context.Context) {
	r, err := http.NewRequestWithContext(ctx, "GET", l.client.url+"/v1/events?table=orders", nil)
	if err != nil {
		l.plant.Error(err)
		return
	}
	r.Header.Set("Last-Event-ID", l.plant.truth.lastEvent())
	a, err := l.client.http.Do(r)
	if err != nil {
		return
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK && a.StatusCode < http.StatusInternalServerError {
		l.plant.Errorf("the event %q can't be gone on from: %s", r.Header.Get("Last-Event-ID"), a.Status)
	}
	event := map[string]string{}
	for lines := bufio.NewScanner(a.Body); lines.Scan(); {
		if name, value, field := strings.Cut(lines.Text(), ": "); field {
			event[name] = value
		} else if data := event["data"]; data != "" { // it has come as a whole
			l.plant.truth.tell(event["id"], data)
			event["data"] = ""
		}
	}
}
