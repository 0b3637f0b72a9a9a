package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/replay"
	"stockflow/stockflowtest"
)

// forgotten takes from a Kafka all tables, and what the groups have committed.
func (p place) forgotten(t *testing.T) {
	t.Helper()
	for _, m := range replay.Machines {
		p.deleted(t, m.Table)
	}
	p.withoutGroups(t)
}

// digests are those that verify tells of the tables, which must be what their logs make them.
func digests(t *testing.T, where ...string) map[string]string {
	t.Helper()
	var report struct {
		Tables []struct {
			Table, Digest string
			Rows          int
		}
	}
	if err := json.Unmarshal([]byte(told(t, 0, nil, append([]string{"verify", "--json"}, where...)...)), &report); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, table := range report.Tables {
		all[table.Table] = fmt.Sprintf("%d rows, %s", table.Rows, table.Digest)
	}
	return all
}

// rebuilt carries out replay on all tables, and returns its report.
func rebuilt(t *testing.T, args ...string) (report replay.Rebuilt) {
	t.Helper()
	text := told(t, 0, nil, append([]string{"replay", "--all", "--yes", "--json"}, args...)...)
	if err := json.NewDecoder(strings.NewReader(text[strings.LastIndex(text, `{"tables"`):])).Decode(&report); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return report
}

// cutsOf returns the cuts that were found in logs whose offsets were lost, by partition.
func cutsOf(t *testing.T, report replay.Rebuilt) map[string][]int64 {
	t.Helper()
	all := map[string][]int64{}
	for i, table := range report.Tables {
		log := replay.Machines[i].Log
		for _, cut := range table.Cuts {
			if all[log] = append(all[log], cut.Offset); !cut.Found {
				t.Errorf("an offset of %s was committed", log)
			}
		}
	}
	return all
}

func sum(numbers []int64) (n int64) {
	for _, one := range numbers {
		n += one
	}
	return n
}

// rebuiltTwice makes all tables of a stopped directory anew from its logs alone, twice, and expects each time the same bytes as before.
func rebuiltTwice(t *testing.T, dir string) {
	t.Helper()
	data := "--data=" + dir
	before := digests(t, data)
	if folded := digests(t, data, "--fold-only"); !maps.Equal(folded, before) {
		t.Errorf("the logs alone make %v, and the tables are %v", folded, before)
	}
	for range 2 {
		logsAlone(t, dir)
		logs := ends(t, place{dir: dir})
		for log, cuts := range cutsOf(t, rebuilt(t, data)) {
			if n := sum(cuts); n != logs[log] { // everything was done
				t.Errorf("the cuts of %s are %v, which is %d messages of %d", log, cuts, n, logs[log])
			}
		}
		if now := digests(t, data); !maps.Equal(now, before) {
			t.Errorf("the tables are %v, and were %v", now, before)
		}
	}
}

// TestARebuildSendsNothing: all that is left are the logs, and e-mails have been sent. The tables come out as they were; no
// log has a message more, then and when everything runs again, and no e-mail goes out twice.
func TestARebuildSendsNothing(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	const orders = 20
	dir := t.TempDir()
	relay := stockflowtest.NewRelay(t, func(int) error { return nil })
	serve := Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Mail: relayed(relay)}
	server, client := start(t, serve)
	client.want("POST", lampPath+"/receipts", `{"quantity":1000}`, 200)
	for i := range orders {
		client.want("POST", "/v1/orders", mailed(fmt.Sprint("o-", i)), 201, `"confirmed"`)
	}
	for i := range orders {
		untilMail(t, server, fmt.Sprint("o-", i), notification.Confirmed, notification.StatusSent)
	}
	newQuiet(t, server).wait(t)
	halt(t, server)
	before := logged(t, dir)
	rebuiltTwice(t, dir)
	if now := logged(t, dir); !maps.Equal(now, before) {
		t.Errorf("after two rebuilds the logs are %v, and were %v", now, before)
	}
	before[processors.NotificationEvents] += 8 // in each partition the sender says that it begins
	server, _ = start(t, serve)
	untilLogged(t, server.Broker(), processors.NotificationEvents, before[processors.NotificationEvents])
	newQuiet(t, server).wait(t)
	halt(t, server)
	if now := logged(t, dir); !maps.Equal(now, before) {
		t.Errorf("after another start the logs are %v, and were %v", now, before)
	}
	if n, again := len(relay.Counts()), relay.Repeats(); n != orders || again != 0 {
		t.Errorf("%d e-mails have come, and %d repeats", n, again)
	}
}

// logged returns how many records have come to the logs of a directory whose server is stopped, to that of dead letters too.
func logged(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	n := ends(t, place{dir: dir})
	maps.DeleteFunc(n, func(topic string, _ int64) bool { return strings.HasSuffix(topic, "-table") })
	return n
}

// TestTablesOnKafkaAreRebuilt, where they are compacted: records are missing in between, and a row that replay took away has
// left no trace. Then all tables are lost, and what the groups had committed.
func TestTablesOnKafkaAreRebuilt(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	p := onKafka(t, kfake.NumBrokers(3))
	serve := p.serve()
	serve.Partitions = 2
	server, client := start(t, serve)
	for i := range 60 {
		client.want("POST", fmt.Sprintf("/v1/inventory/sku-%d/receipts", i%3), `{"quantity":5}`, 200)
		client.want("POST", "/v1/orders", fmt.Sprintf(`{"order_id":"o-%d","lines":[{"sku":"sku-%d","quantity":2}]}`, i, i%3), 201)
	}
	newQuiet(t, server).wait(t)
	halt(t, server)
	nobody := &kgo.Record{Topic: processors.OrderTable, Key: []byte("nobody"),
		Value: codecs.EncodeOrderRow(codecs.Head{Applied: 7}, order.State{Status: order.Confirmed})}
	put(t, p.conn(), nobody)
	told(t, 1, []string{`"nobody"`, "they part at offset 7"}, p.verify()...)
	told(t, 0, []string{"1 taken away"}, p.replay()...)
	before := digests(t, p.flags()...)
	for _, m := range replay.Machines {
		alter(t, p.conn(), m.Table, "delete.retention.ms", "0")
	}
	p.kafka.Cluster().Compact()
	if all, left := recordsOf(t, p.conn(), processors.InventoryTable); left*2 > all {
		t.Fatalf("the compaction has left %d of %d records", left, all)
	}
	if now := digests(t, p.flags()...); !maps.Equal(now, before) {
		t.Errorf("compacted, the tables are %v, and were %v", now, before)
	}
	put(t, p.conn(), &kgo.Record{Topic: processors.InventoryTable, Key: []byte("sku-1"), Value: []byte("\xff")}, nobody)
	told(t, 1, []string{`"nobody"`, `"sku-1"`, "does not decode"}, p.verify()...)
	told(t, 0, []string{"1 written", "1 taken away"}, p.replay()...)
	told(t, 0, []string{allEqual}, p.verify()...)

	p.forgotten(t)
	told(t, 0, []string{"no offset was committed"}, p.replay()...)
	if now := digests(t, p.flags()...); !maps.Equal(now, before) {
		t.Errorf("rebuilt, the tables are %v, and were %v", now, before)
	}
	server, client = start(t, serve)
	client.want("POST", "/v1/orders", `{"order_id":"after","lines":[{"sku":"sku-1","quantity":1}]}`, 201, `"confirmed"`)
	told(t, 0, []string{allEqual, "over HTTP"}, p.verify("--url=http://"+server.HTTPAddr())...)
}

// recordsOf counts the records of a topic: all that there have ever been, and those that are left.
func recordsOf(t *testing.T, b broker.Broker, topic string) (all, left int64) {
	t.Helper()
	ends, err := b.Ends(t.Context(), topic)
	must(t, err)
	for _, end := range ends {
		all += end
	}
	return all, int64(len(records(t, b, topic)))
}

// TestAHaltedPartitionIsNotVerifiedAndStillRebuilt: up to the message that this program can't take all is compared, and made
// right, the other partitions to their ends.
func TestAHaltedPartitionIsNotVerifiedAndStillRebuilt(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	dir := t.TempDir()
	data := "--data=" + dir
	traded(t, dir)
	m := newMill(t, dir)
	held := onPartition(3, "held-")
	m.write(&kgo.Record{Topic: processors.InventoryEvents, Key: []byte(held), Value: []byte(`{"rules":2,"receive":{"quantity":10}}`)})
	m.awaitStopped("inventory-events/3 has stopped")
	told(t, 2, []string{"not ready"}, "verify", data)
	halt(t, m.server)
	halted := []string{"not verified: inventory-events/3 from offset", "written under rules number 2"}
	told(t, 2, halted, "verify", data)
	produced(t, dir, &kgo.Record{Topic: processors.InventoryTable, Key: []byte("sku-3"), Value: []byte("\xff")},
		&kgo.Record{Topic: processors.InventoryTable, Key: []byte(onPartition(3, "sku-"))})
	told(t, 1, append(halted, `"sku-3"`, "does not decode", `"`+onPartition(3, "sku-")+`": the row is missing`), "verify", data)
	told(t, 0, []string{"inventory-table"}, "replay", "--all", "--yes", data)
	told(t, 2, halted, "verify", data)

	// Without the group's offsets it begins at that message, and with one behind it nothing is made up.
	logs := ends(t, place{dir: dir})
	logsAlone(t, dir)
	cuts := cutsOf(t, rebuilt(t, data))
	if n := sum(cuts[processors.InventoryEvents]); n != logs[processors.InventoryEvents]-1 {
		t.Errorf("the cuts are %v, expected all %d messages but the one that halts", cuts[processors.InventoryEvents], logs[processors.InventoryEvents])
	}
	opened(t, dir, func(b broker.Local) {
		at := broker.TopicPartition{Topic: processors.InventoryEvents, Partition: 3}
		must(t, b.Commit(t.Context(), "inventory", map[broker.TopicPartition]int64{at: cuts[at.Topic][3] + 1}))
	})
	told(t, 1, []string{"inventory-events/3", "written under rules number 2"}, "replay", "--all", "--yes", data)
}
