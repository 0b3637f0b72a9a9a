package cli

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"stockflow/machines/order"
	"stockflow/stockflowtest"
	"stockflow/stockflowtest/kafka"
)

// eachOrders is how many orders each producer sends: enough to meet every partition.
const eachOrders = 25

// orderElsewhere orders as they do who don't know of Stockflow: with kcat, and by the Express app of the examples with each of its
// clients. Whichever partition an order lands on, it is taken once.
func orderElsewhere(t *testing.T, server *Server, brokers *kafka.Cluster, clients ...string) {
	t.Helper()
	shop := newShop(t, server.HTTPAddr())
	shop.want("POST", "/v1/inventory/desk/receipts", `{"quantity":1000}`, 200)
	var ids []string
	id := func(by string, i int) string {
		ids = append(ids, fmt.Sprintf("%s-%d", by, i))
		return ids[len(ids)-1]
	}

	var lines strings.Builder
	for i := range eachOrders {
		name := id("kcat", i)
		fmt.Fprintf(&lines, "%s\t{\"placed\": {\"order_id\": %q, \"lines\": [{\"sku\": \"desk\", \"quantity\": 1}]}}\n", name, name)
	}
	kcat := exec.Command(installed(t, "kcat"), "-b", brokers.Addresses(), "-P", "-t", "order-events", "-K", "\t", "-X", "acks=all")
	kcat.Stdin = strings.NewReader(lines.String())
	if out, err := kcat.CombinedOutput(); err != nil {
		t.Fatalf("kcat: %v\n%s", err, out)
	}
	for _, client := range clients {
		app := express(t, client, brokers.Addresses())
		for i := range eachOrders {
			name := id(client, i)
			order := fmt.Sprintf(`{"order_id":%q,"lines":[{"sku":"desk","quantity":1}]}`, name)
			if a := app.send("POST", "/orders", order, "Content-Type: application/json"); a.status != 202 {
				t.Fatalf("the app with %s answers %d %s", client, a.status, a.text)
			}
		}
	}

	m := &mill{t: t, server: server, client: shop}
	for _, name := range ids {
		until(m, server.tables.Orders, name, func(s order.State) bool { return s.Status == order.Confirmed })
	}
	shop.wantStock("desk", 1000, int64(len(ids)))
	if n := moved(shop); n == 0 {
		t.Error("kcat's own partitioner agrees with Java's, and nothing was moved")
	} else {
		t.Logf("%d orders by kcat and %v; %g messages were moved to their partition", len(ids), clients, n)
	}
}

// moved is how many messages were sent on from a wrong partition.
func moved(s *shop) (n float64) {
	s.t.Helper()
	for line := range strings.Lines(s.send("GET", "/metrics", "").text) {
		if !strings.HasPrefix(line, "stockflow_messages_moved_total") {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64)
		if err != nil {
			s.t.Fatal(err)
		}
		n += value
	}
	return n
}

// installed is where a program is. It skips the test where there is none, unless STOCKFLOW_REQUIRE wants it.
func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && strings.Contains(os.Getenv("STOCKFLOW_REQUIRE"), program) {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("there is no %s: %v", program, err)
	}
	return path
}

const example = "../examples/express-producer"

// express starts the app of the examples, with one of its clients.
func express(t *testing.T, client, brokers string) *shop {
	t.Helper()
	modules(t)
	app := exec.Command(installed(t, "node"), "app.js")
	app.Dir, app.SysProcAttr = example, stockflowtest.DieWithParent()
	app.Env = append(os.Environ(), "CLIENT="+client, "KAFKA="+brokers, "HTTP=127.0.0.1:0")
	app.Stderr = os.Stderr
	out, err := app.StdoutPipe()
	if err == nil {
		err = app.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = app.Process.Kill()
		_ = app.Wait() // it was killed
	})
	said := bufio.NewScanner(out)
	for said.Scan() {
		if url, found := strings.CutPrefix(said.Text(), "http "); found {
			return newShop(t, strings.TrimPrefix(url, "http://"))
		}
	}
	t.Fatalf("the app with %s ended before it listened: %v", client, said.Err())
	return nil
}
