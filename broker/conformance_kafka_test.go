package broker_test

import (
	"sync"
	"testing"

	"stockflow/broker/conformance"
	"stockflow/stockflowtest/kafka"
)

// A test has three brokers for itself, and leaves nothing there for the next.
func TestApacheKafkaIsABroker(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts three brokers")
	}
	brokers := kafka.Three(t)
	var one sync.Mutex
	t.Run("suite", func(t *testing.T) { // it ends when all of its tests have, which run side by side elsewhere
		conformance.Run(t, func(t *testing.T) conformance.Brokers {
			one.Lock()
			t.Cleanup(func() {
				brokers.Clear()
				one.Unlock()
			})
			conn := brokers.Connection()
			return conformance.Brokers{Inside: conn, Outside: conn}
		})
	})
}
