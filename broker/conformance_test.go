package broker_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/broker/conformance"
	"stockflow/journal"
	"stockflow/stockflowtest/fake"
)

func TestTheJournalIsABroker(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Brokers {
		j, err := journal.Open(t.TempDir(), journal.Options{Log: slog.New(slog.DiscardHandler), TailBytes: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
		local := broker.NewLocal(j)
		return conformance.Brokers{Inside: local.Inside(), Outside: local}
	})
}

func onFake(t *testing.T) (*fake.Kafka, conformance.Brokers) {
	k := fake.Open(t)
	conn := broker.Connection{Brokers: k.Brokers(), Session: 2 * time.Second}
	return k, conformance.Brokers{Inside: conn, Outside: conn}
}

func TestKafkaIsABroker(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Brokers {
		_, b := onFake(t)
		return b
	})
}

// Requests are refused now and then, with errors that pass. Those that produce are not: one that is refused alone, with others
// behind it on the wire, leaves a hole, as no Kafka does, and ends the producer; see kafka_producer_test.go.
func TestKafkaIsABrokerInBadWeather(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Brokers {
		k, b := onFake(t)
		for key, err := range map[kmsg.Key]*kerr.Error{
			kmsg.Fetch: kerr.NotLeaderForPartition, kmsg.JoinGroup: kerr.CoordinatorLoadInProgress,
		} {
			n := 0
			k.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: -1, When: func(kmsg.Request) bool {
				n++
				return n%3 == 1
			}})
		}
		return b
	})
}
