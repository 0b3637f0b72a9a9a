package cli

import (
	"flag"
	"testing"

	"stockflow/stand/kafka"
)

var invoices = flag.Int("invoices", 300, "of the month that are played on Kafka; 0 is all of them")

// TestOnThreeBrokers is the tour of the README on a Kafka of three brokers, and then the real month. Both agree with their
// ledger, and verify finds that every table is the fold of its log.
func TestOnThreeBrokers(t *testing.T) {
	brokers := kafka.Three(t)
	t.Run("the tour", func(t *testing.T) {
		defer brokers.Clear()
		tourOn(t, brokers)
	})
	t.Run("the month", func(t *testing.T) {
		defer brokers.Clear()
		month := readMonth(t)
		if 0 < *invoices && *invoices < len(month) {
			month = month[:*invoices]
		}
		server, _ := playTheMonth(t, on(t, brokers), month)
		verified(t, server, brokers)
	})
}

// TestOnZooKeeper is the tour on the last Kafka that has its metadata there.
func TestOnZooKeeper(t *testing.T) { tourOn(t, kafka.WithZooKeeper(t)) }

func tourOn(t *testing.T, brokers *kafka.Cluster) {
	t.Helper()
	verified(t, takeTheTour(t, on(t, brokers)), brokers)
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
