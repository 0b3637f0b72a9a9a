package cli

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/processors"
)

// A program of somebody else's produces through the Kafka port while Stockflow is killed and started again. It sends again what it has no
// answer for, and each of its receipts counts once.
func TestAProducerOutlivesAKilledStockflow(t *testing.T) {
	t.Parallel()
	const receipts, kills = 600, 3
	dir := t.TempDir()
	server, client := spawnServer(t, dir)
	address := server.Kafka
	producer, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0),
		kgo.RecordRetries(1<<30), kgo.MetadataMinAge(50*time.Millisecond), kgo.RetryTimeout(generous), kgo.UnknownTopicRetries(-1))
	must(t, err)
	defer producer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	acknowledged, sent := make(chan struct{}, receipts), make(chan error, 1)
	go func() {
		for range receipts {
			r := &kgo.Record{Topic: processors.InventoryEvents, Key: []byte("lamp"), Value: []byte(`{"receive":{"quantity":1}}`)}
			if err := producer.ProduceSync(ctx, r).FirstErr(); err != nil {
				sent <- err
				close(acknowledged)
				return
			}
			acknowledged <- struct{}{}
		}
		sent <- nil
	}()
	for range kills {
		for range receipts / (kills + 1) { // it is in the midst of it
			<-acknowledged
		}
		server.Kill()
		server, client = spawnServer(t, dir, "--kafka="+address)
	}
	must(t, <-sent)
	client.wantSoon("lamp", receipts)
}

// wantSoon waits until a SKU has so many units on hand, and never more.
func (s *shop) wantSoon(sku string, onHand int64) {
	s.t.Helper()
	for end := time.Now().Add(generous); ; {
		row := s.row(s.send("GET", "/v1/inventory/"+sku, ""))
		if row.OnHand == onHand {
			return
		}
		if row.OnHand > onHand || time.Now().After(end) {
			s.t.Fatalf("%d units are on hand, expected %d", row.OnHand, onHand)
		}
	}
}

// What --kafka says, and where the port is then.
func TestWhereTheKafkaPortIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flags []string
		code  int
		says  string
	}{
		{[]string{"--kafka=0.0.0.0:9092"}, 2, "must be an address of this machine alone"},
		{[]string{"--kafka=nonsense"}, 2, "must be HOST:PORT, auto or off"},
		{[]string{"--kafka=127.0.0.1:9092", "--brokers=127.0.0.1:1"}, 2, "is for the journal"},
		{[]string{"--roles=api"}, 2, "--roles: is for --brokers"},
	} {
		told(t, c.code, []string{c.says}, append([]string{"serve", "--http=127.0.0.1:0", "--data=" + t.TempDir()}, c.flags...)...)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	told(t, 1, []string{"--kafka: ", "address already in use"}, "serve", "--http=127.0.0.1:0", "--data="+t.TempDir(), "--kafka="+taken.Addr().String())

	server, _ := start(t, Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 8, Kafka: noPort})
	if lines := strings.Join(server.Listening(), "\n"); strings.Contains(lines, "kafka") {
		t.Errorf("it is off, and %s", lines)
	}
}

// A command that is pointed at the Kafka port of a journal is told where to look instead.
func TestBrokersThatAreAJournalAreRefused(t *testing.T) {
	t.Parallel()
	server, _ := start(t, Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 8, Kafka: "127.0.0.1:0"})
	address, _, _ := strings.Cut(server.kafkaNote, " ")
	for _, command := range []string{"verify", "topics", "dead-letters list", "serve --http=127.0.0.1:0"} {
		args := append(strings.Fields(command), "--brokers="+address, "--data="+t.TempDir())
		code := map[string]int{"verify": 2, "topics": 2}[command]
		if code == 0 {
			code = 1
		}
		told(t, code, []string{"--brokers: ", "is the Kafka port of a Stockflow that keeps its logs in a journal"}, args...)
	}
}
