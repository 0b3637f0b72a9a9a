package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockflow/machines/order"
)

// modules skips the test where the example's modules have not been fetched, unless STOCKFLOW_REQUIRE wants them.
func modules(t *testing.T) {
	t.Helper()
	_, err := os.Stat(filepath.Join(example, "node_modules"))
	if err != nil && strings.Contains(os.Getenv("STOCKFLOW_REQUIRE"), "node") {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("npm ci --prefix %s has not run: %v", example, err)
	}
}

// TestTheExampleSendsAllOfAnOrder through the Kafka port of a journal, which takes kafkajs.
func TestTheExampleSendsAllOfAnOrder(t *testing.T) {
	t.Parallel()
	serve := place{dir: t.TempDir()}.serve()
	serve.Kafka = "127.0.0.1:0"
	server, client := start(t, serve)
	app := express(t, "kafkajs", server.kafkaNote)
	a := app.send("POST", "/orders", `{"order_id":"o-1","customer":{"id":"c-1","name":"Ada"},"ship_to":"1 High Street","policy":"partial","lines":[{"sku":"desk","quantity":1}]}`,
		"Content-Type: application/json")
	if a.status != 202 {
		t.Fatalf("the app answers %d %s", a.status, a.text)
	}
	until(&mill{t: t, server: server, client: client}, server.tables.Orders, "o-1", func(s order.State) bool { return s.Status == order.Rejected })
	row, err := server.tables.Orders.Get("o-1")
	if got := row.State; err != nil || got.ShipTo != "1 High Street" || got.Policy != order.Partial || got.Customer != (order.Customer{ID: "c-1", Name: "Ada"}) {
		t.Errorf("the order is %+v, %v", got, err)
	}
}

// twoErrors connects the example's kafka-node to nobody, tells it that it is connected, and then of one error after the other.
const twoErrors = `
const kafka = require('kafka-node')
const { Producer } = kafka
let producer
kafka.Producer = function (...args) { return (producer = new Producer(...args)) }
require('./kafka-node').connect(['127.0.0.1:1']).then(() => {
  producer.client.emit('error', new Error('away'))
  producer.client.emit('error', new Error('still away'))
  console.log('goes on')
  process.exit(0)
})
producer.emit('ready')
`

// TestTheExampleOutlivesItsKafka: what the old client says while Kafka is away doesn't end the shop.
func TestTheExampleOutlivesItsKafka(t *testing.T) {
	t.Parallel()
	modules(t)
	node := exec.CommandContext(t.Context(), installed(t, "node"), "-e", twoErrors)
	node.Dir, node.WaitDelay = example, time.Second
	out, err := node.CombinedOutput()
	for _, want := range []string{"kafka-node: away\n", "kafka-node: still away\n", "goes on\n"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v, and it says %s\nexpected %q in it", err, out, want)
		}
	}
}
