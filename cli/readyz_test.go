package cli

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/processors"
	"stockflow/stockflowtest"
	"stockflow/stockflowtest/fake"
)

// TestReadyIsWhoTakesWhatWaits: every broker answers, every table is recovered, and nothing is processed. /readyz says so, and why,
// until messages are taken again.
func TestReadyIsWhoTakesWhatWaits(t *testing.T) {
	t.Parallel()
	const order = `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":1}]}`
	serve := func(t *testing.T) Serve {
		return Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 2, Brokers: fake.Open(t).Brokers()}
	}
	t.Run("a foreign member holds a group", func(t *testing.T) {
		t.Parallel()
		serve := serve(t)
		_, _, err := broker.Connection{Brokers: serve.Brokers}.Ensure(t.Context(), topics(), 2)
		must(t, err)
		leave := stockflowtest.Foreigner(t, serve.Brokers, "order", processors.OrderEvents)
		_, client := start(t, serve)
		client.noted(order)
		client.until("/readyz", "group order takes nothing of order-events/")
		client.want("GET", "/readyz", "", 503, "where 1 records have waited since", "foreigner at 127.0.0.1", "holds them and takes none")
		metrics := client.send("GET", "/metrics", "").text
		if !strings.Contains(metrics, `stockflow_lag_records{group="order"} 1`) || strings.Contains(metrics, `stockflow_lag_seconds{group="order"} 0`) {
			t.Error("the metrics don't know of the lag")
		}
		leave()
		client.until("/readyz", `{"status":"ready"}`)
		client.until("/v1/orders/o-1", `"status":"rejected"`)
	})
	t.Run("a transaction is open", func(t *testing.T) {
		t.Parallel()
		serve := serve(t)
		_, client := start(t, serve)
		shop, err := broker.Connection{Brokers: serve.Brokers}.Client(kgo.TransactionalID("shop"))
		must(t, err)
		defer shop.Close()
		must(t, shop.BeginTransaction())
		must(t, shop.ProduceSync(t.Context(), &kgo.Record{Topic: processors.OrderEvents, Key: []byte("o-1"), Value: []byte(`{"placed":{}}`)}).FirstErr())
		client.noted(order)
		client.until("/readyz", "group order takes nothing of order-events/")
		client.want("GET", "/readyz", "", 503, "where 2 records have waited since", "a transaction that is open holds them back")
		must(t, shop.EndTransaction(t.Context(), kgo.TryAbort))
		client.until("/readyz", `{"status":"ready"}`)
		client.until("/v1/orders/o-1", `"status":"rejected"`)
	})
}
