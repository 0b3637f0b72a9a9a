package cli

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"stockflow/stockflowtest/kafka"
)

// TestOnThreeBrokers is the tour of the README on a Kafka of three brokers, and then the real month. Both agree with their
// ledger, and verify finds that every table is the fold of its log.
func TestOnThreeBrokers(t *testing.T) {
	brokers := kafka.Three(t)
	t.Run("the tour", func(t *testing.T) {
		defer brokers.Clear()
		tourOn(t, brokers, "kafkajs")
	})
	t.Run("the month", func(t *testing.T) {
		defer brokers.Clear()
		server, _ := playTheMonth(t, on(t, brokers), someOf(readMonth(t)))
		verified(t, server, brokers)
	})
	t.Run("the month, moved in the middle", func(t *testing.T) {
		defer brokers.Clear()
		moveInTheMonth(t, on(t, brokers), someOf(readMonth(t)))
	})
	t.Run("many orders at once", func(t *testing.T) {
		defer brokers.Clear()
		verified(t, orderAtOnce(t, on(t, brokers)), brokers)
	})
}

// moveInTheMonth plays a month on a journal, but for its end, and the end on the Kafka that the journal was moved to. The ledger of the
// whole agrees there.
func moveInTheMonth(t *testing.T, there Serve, invoices []*invoice) {
	t.Helper()
	last := len(invoices) - min(40, len(invoices)/3)
	server, book := playTheMonth(t, Serve{HTTP: "127.0.0.1:0", Data: there.Data, Partitions: there.Partitions}, invoices[:last])
	movesTo(t, server, newShop(t, server.HTTPAddr()), there, func(server *Server, client *shop) {
		compare(client, book)
		quiet := newQuiet(t, server)
		quiet.wait(t)
		for _, v := range invoices[last:] {
			if got, want := play(client, quiet, v), enter(book, v); !slices.Equal(got, want) {
				t.Errorf("after the move the %s %s is answered with %q, and by the ledger with %q", v.kind, v.id, got, want)
			}
		}
		compare(client, book)
	})
}

// orderAtOnce has many customers order, each one thing after another until it is confirmed, and tells how many a second that are.
func orderAtOnce(t *testing.T, serve Serve) *Server {
	t.Helper()
	const clients, orders, skus = 64, 4_000, 50
	server, client := start(t, serve)
	for i := range skus {
		client.want("POST", fmt.Sprintf("/v1/inventory/sku-%d/receipts", i), `{"quantity":100000}`, 200)
	}
	began := time.Now()
	sideBySide(clients, orders, func(i int) {
		client.want("POST", "/v1/orders", fmt.Sprintf(`{"order_id":"many-%d","lines":[{"sku":"sku-%d","quantity":1},{"sku":"sku-%d","quantity":2}]}`,
			i, i%skus, (i+7)%skus), 201, `"confirmed"`)
	})
	t.Logf("%.0f orders/s of two lines until they are confirmed, from %d clients", orders/time.Since(began).Seconds(), clients)
	newQuiet(t, server).wait(t)
	return server
}

// TestOnZooKeeper is the tour on the last Kafka that has its metadata there.
func TestOnZooKeeper(t *testing.T) { tourOn(t, kafka.WithZooKeeper(t), "kafka-node", "kafkajs") }

// tourOn is followed by orders that others write to the log, from the Express app with each of these clients.
func tourOn(t *testing.T, brokers *kafka.Cluster, clients ...string) {
	t.Helper()
	server := takeTheTour(t, on(t, brokers))
	orderElsewhere(t, server, brokers, clients...)
	verified(t, server, brokers)
}

// on is a Stockflow that has its logs there.
func on(t *testing.T, brokers *kafka.Cluster) Serve {
	return Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 8, Brokers: brokers.Connection().Brokers}
}

// verified wants verify to find nothing, also not in what HTTP says, and stops the server.
func verified(t *testing.T, server *Server, brokers *kafka.Cluster) {
	t.Helper()
	told(t, 0, []string{allEqual, "over HTTP"}, "verify", "--brokers="+brokers.Addresses(), "--url=http://"+server.HTTPAddr())
	halt(t, server)
}
