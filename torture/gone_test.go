package torture

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"stockflow/broker"
	"stockflow/processors"
	"stockflow/stockflowtest/kafka"
)

// wanted is the SKU of the receipt that is sent while nobody takes it.
const wanted = "t999"

// loseAll takes all brokers away for a while, once so that nobody answers, and once so that nobody is there. Whoever
// wants to write is told so at once, and is served when they are back, without anybody's help.
func (c *cluster) loseAll() {
	c.begin()
	o := c.watch()
	c.awaitOrders(c.first, 50)
	before := c.holds()
	c.lose("paused", (*kafka.Node).Pause, (*kafka.Node).Resume)
	o.settle()
	c.t.Log(o.tell("all brokers paused for " + down.String()))
	c.lose("killed", (*kafka.Node).Kill, (*kafka.Node).Start)
	o.settle()
	c.t.Log(o.tell("all brokers killed for " + down.String()))
	c.awaitOrders(c.first, 50)
	after := c.holds()
	c.t.Logf("held before and after: %s; %s", before, after)
	if after.goroutines > before.goroutines*5/4+20 || after.connections > before.connections*5/4+20 {
		c.t.Errorf("something leaks: before it were %s, and are %s", before, after)
	}
	o.end()
}

// held is what a process holds under load, at the least of some looks. Files are not among it: the stores of the tables
// have more of them the more is in them.
type held struct{ goroutines, connections float64 }

func (h held) String() string {
	return fmt.Sprintf("%.0f goroutines and %.0f connections", h.goroutines, h.connections)
}

func (c *cluster) holds() held {
	h := held{math.Inf(1), math.Inf(1)}
	for range 20 {
		m, err := metrics(c.t.Context(), c.first.HTTP)
		c.must(err)
		h.goroutines, h.connections = min(h.goroutines, m["go_goroutines"]), min(h.connections, c.sockets())
		time.Sleep(glance)
	}
	return h
}

// sockets are those that the first instance has open.
func (c *cluster) sockets() (n float64) {
	dir := fmt.Sprintf("/proc/%d/fd/", c.first.Cmd.Process.Pid)
	files, err := os.ReadDir(dir)
	c.must(err)
	for _, f := range files {
		if is, err := os.Readlink(dir + f.Name()); err == nil && strings.HasPrefix(is, "socket:") { // it may be closed by now
			n++
		}
	}
	return n
}

// lose does to all brokers what takes them away, and after a while what brings them back, and sends the same receipt
// again and again meanwhile.
func (c *cluster) lose(how string, away, back func(*kafka.Node)) {
	client := newClient(c.t.Context(), c.books, c.probe, "gone-"+how, c.seed, 1)
	began := time.Now()
	for _, b := range c.kafka.Brokers {
		away(b)
	}
	c.stops++
	c.refused(how, client, began)
	for _, b := range c.kafka.Brokers {
		back(b)
	}
	began = time.Now()
	taken := make(chan time.Duration, 1)
	go func() {
		client.moveOf(wanted, "receipts", 1, "")
		taken <- time.Since(began)
	}()
	c.kafka.Leader(processors.InventoryEvents, broker.Partition([]byte(wanted), partitions))
	led := time.Since(began)
	c.await(c.first, "it doesn't get ready by itself", c.ready)
	ready := time.Since(began)
	c.t.Logf("all brokers back: Kafka has leaders after %s, and what was refused is taken after %s; ready after %s", led.Round(time.Millisecond),
		(<-taken).Round(time.Millisecond), ready.Round(time.Millisecond))
	c.kafka.AwaitInSync()
}

// refused wants what is sent while all brokers are gone to be refused as what nobody can take, without waiting for them, from when that is
// known until they are back.
func (c *cluster) refused(how string, client *client, began time.Time) {
	var refused, unready time.Duration // after which it was first refused so, and not ready
	for time.Since(began) < *down {
		a, err := client.try("POST", c.first.HTTP+"/v1/inventory/"+wanted+"/receipts", `{"quantity":1}`, "Idempotency-Key: m-gone-"+how+"-0")
		unreachable := err == nil && a.status == http.StatusServiceUnavailable && a.row.Code == "log_unreachable" // and not outcome_unknown
		switch {
		case err != nil || !unreachable && refused > 0:
			c.t.Errorf("with all brokers %s a receipt is answered with %d %s %v", how, a.status, a.text, err)
		case unreachable && refused == 0:
			refused = time.Since(began)
		}
		if unready == 0 && !c.ready() {
			unready = time.Since(began)
		}
		time.Sleep(glance)
	}
	c.t.Logf("all brokers %s: refused without waiting after %s, not ready after %s", how, refused.Round(time.Millisecond), unready.Round(time.Millisecond))
	if refused == 0 || unready == 0 {
		c.t.Errorf("with all brokers %s it has to be refused at once, and readiness to tell", how)
	}
}

func (c *cluster) ready() bool {
	a, err := http.Get(c.first.HTTP + "/readyz")
	if err != nil {
		return false
	}
	_ = a.Body.Close()
	return a.StatusCode == http.StatusOK
}
