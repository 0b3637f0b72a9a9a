package cli

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/processors"
)

// stopped writes a message that no program of this version takes, between two good ones, and returns when its partition has
// stopped there.
func stopped(t *testing.T, m *mill) *kgo.Record {
	t.Helper()
	m.write(receipt("lamp", 5))
	newer := &kgo.Record{Topic: processors.InventoryEvents, Key: []byte("lamp"), Value: []byte(`{"rules":9,"receive":{"quantity":1000}}`)}
	m.write(newer)
	m.write(receipt("lamp", 2))
	line := fmt.Sprintf("inventory-events/%d has stopped at offset %d: written under rules number 9", newer.Partition, newer.Offset)
	for end := time.Now().Add(generous); !strings.Contains(strings.Join(m.server.Waiting(), "\n"), line); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it waits for %q, expected %q", m.server.Waiting(), line)
		}
	}
	return newer
}

// TestAMessageIsSkipped by a command beside a server that runs, and on what a stopped one has left: then when it starts. Verify and
// replay leave it out too, and so does a server whose tables are lost.
func TestAMessageIsSkipped(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]place{"journal": {dir: t.TempDir()}, "kafka": onKafka(t)} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, running %v", name, running), func(t *testing.T) {
				p := p
				p.dir = t.TempDir()
				if p.kafka != nil {
					p = onKafka(t)
				}
				skipAndFold(t, p, running)
			})
		}
	}
}

func skipAndFold(t *testing.T, p place, running bool) {
	m := millOf(t, p)
	newer := stopped(t, m)
	skip := func(offset int64) []string {
		args := append([]string{"skip", "--yes"}, p.flags()...)
		return append(args, newer.Topic, fmt.Sprint(newer.Partition), fmt.Sprint(offset))
	}
	id := fmt.Sprintf("%s/%d/%d", newer.Topic, newer.Partition, newer.Offset)
	if running {
		untilCommitted(t, m.server.Broker(), newer)
		typed(t, 1, []string{"has not stopped at offset"}, skip(newer.Offset+1)...)
		typed(t, 0, []string{id + " is skipped\n"}, skip(newer.Offset)...)
	} else {
		halt(t, m.server)
		typed(t, 0, []string{id + " is skipped as soon as a Stockflow that has its partition stops there"}, skip(newer.Offset)...)
		m = millOf(t, p)
	}
	m.client.wantSoon("lamp", 7)
	typed(t, 0, []string{id + " is skipped\n"}, skip(newer.Offset)...)
	typed(t, 0, []string{id, "skipped     asked for 2", `"rules": 9`}, append([]string{"show", id}, p.flags()...)...)
	halt(t, m.server)
	told(t, 0, []string{allEqual}, p.verify()...)
	told(t, 0, nil, p.replay()...)
	m = millOf(t, p)
	m.client.want("GET", "/v1/inventory/lamp", "", 200, `"on_hand":7`)
	halt(t, m.server)
}

// untilCommitted returns when a message is the next that its group takes, as far as anybody is told.
func untilCommitted(t *testing.T, b broker.Broker, r *kgo.Record) {
	t.Helper()
	for end := time.Now().Add(generous); ; time.Sleep(10 * time.Millisecond) {
		committed, err := b.Committed(t.Context(), processors.GroupOf(r.Topic))
		if must(t, err); committed[broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}] == r.Offset {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("committed are %v", committed)
		}
	}
}

// TestAMessageTooLargeForALetter comes through the port in some kilobytes, and stops nothing; what was in it is said.
func TestAMessageTooLargeForALetter(t *testing.T) {
	t.Parallel()
	p := place{dir: t.TempDir()}
	serve := p.serve()
	serve.Kafka = "127.0.0.1:0"
	server, client := start(t, serve)
	producer, err := kgo.NewClient(kgo.SeedBrokers(server.kafkaNote), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(12<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	must(t, err)
	defer producer.Close()
	zeros := make([]byte, 7500<<10)
	huge := &kgo.Record{Topic: processors.InventoryEvents, Key: []byte("lamp"), Value: zeros}
	must(t, producer.ProduceSync(t.Context(), huge).FirstErr())
	behind := &kgo.Record{Topic: processors.InventoryEvents, Key: []byte("lamp"), Value: []byte(`{"receive":{"quantity":2}}`)}
	must(t, producer.ProduceSync(t.Context(), behind).FirstErr())
	client.wantSoon("lamp", 2)
	id := fmt.Sprintf("%s/%d/%d", huge.Topic, huge.Partition, huge.Offset)
	typed(t, 0, []string{fmt.Sprintf("%d bytes with the SHA-256 %x, too large to be kept", len(zeros), sha256.Sum256(zeros))}, "show", "--data="+p.dir, id)
	typed(t, 1, []string{"only its beginning was kept"}, "redrive", "--data="+p.dir, "--yes", id)
	typed(t, 0, []string{"1 sent again"}, "redrive", "--data="+p.dir, "--yes", `--set-json={"receive":{"quantity":3}}`, id)
	client.wantSoon("lamp", 5)
	halt(t, server)
	told(t, 0, []string{allEqual}, p.verify()...)
}
