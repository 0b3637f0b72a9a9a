package cli

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/journal"
	"stockflow/replay"
	"stockflow/stockflowtest/fake"
)

// place is where a Stockflow keeps what it has: all of it in a directory, or its logs and tables on a fake Kafka, where a test may do
// what a journal lets nobody do: delete topics and groups, and cut logs.
type place struct {
	dir   string
	kafka *fake.Kafka // nil for a journal
}

// onKafka returns a place that has nothing yet.
func onKafka(t *testing.T, opts ...kfake.Opt) place {
	t.Helper()
	return place{t.TempDir(), fake.Open(t, opts...)}
}

// serve is what runs there.
func (p place) serve() Serve {
	s := Serve{HTTP: "127.0.0.1:0", Data: p.dir, Partitions: 8}
	if p.kafka != nil {
		s.Brokers = p.kafka.Brokers()
	}
	return s
}

// flags name the place to a command.
func (p place) flags() []string {
	all := []string{"--data=" + p.dir}
	if p.kafka != nil {
		all = append(all, "--brokers="+strings.Join(p.kafka.Brokers(), ","))
	}
	return all
}

// verify and replay are what is typed to verify all tables, and to rebuild them.
func (p place) verify(more ...string) []string {
	return append(append([]string{"verify"}, p.flags()...), more...)
}

func (p place) replay(more ...string) []string {
	return append(append([]string{"replay", "--all", "--yes"}, p.flags()...), more...)
}

// conn connects to the Kafka.
func (p place) conn() broker.Connection { return broker.Connection{Brokers: p.kafka.Brokers()} }

// client is one of Kafka's own, which ends with the test.
func (p place) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := p.conn().Client(opts...)
	must(t, err)
	t.Cleanup(client.Close)
	return client
}

// opened gives do the logs and tables of a place whose server is stopped.
func (p place) opened(t *testing.T, do func(broker.Broker)) {
	t.Helper()
	if p.kafka != nil {
		do(p.conn())
		return
	}
	opened(t, p.dir, func(b broker.Local) { do(b) })
}

// opened gives do the journal of a directory whose server is stopped.
func opened(t *testing.T, dir string, do func(broker.Local)) {
	t.Helper()
	j, err := journal.Open(journalIn(dir), journal.Options{Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, j.Close()) }()
	do(broker.NewLocal(j))
}

// put appends records to the partitions of their keys, in this order in each, and returns when the logs have them.
func put(t *testing.T, b broker.Broker, records ...*kgo.Record) {
	t.Helper()
	n, err := partitionsOf(t.Context(), b)
	must(t, err)
	producer, err := b.Producer(broker.LargestMessage)
	must(t, err)
	defer producer.Close()
	failed := make(chan error, 1)
	for _, r := range records {
		r.Partition = broker.Partition(r.Key, n)
		producer.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	must(t, producer.Flush(t.Context()))
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
}

// produced is put for a directory whose server is stopped.
func produced(t *testing.T, dir string, records ...*kgo.Record) {
	t.Helper()
	opened(t, dir, func(b broker.Local) { put(t, b, records...) })
}

// records returns those of a topic, in the order of each partition.
func records(t *testing.T, b broker.Broker, topic string) (all []*kgo.Record) {
	t.Helper()
	starts, err := b.Starts(t.Context(), topic)
	must(t, err)
	ends, err := b.Ends(t.Context(), topic)
	must(t, err)
	for n := range int32(len(ends)) {
		at := broker.TopicPartition{Topic: topic, Partition: n}
		must(t, b.Read(t.Context(), topic, n, starts[at], ends[at], func(r *kgo.Record) error {
			all = append(all, &kgo.Record{Topic: topic, Partition: n, Offset: r.Offset, Key: r.Key, Value: r.Value, Headers: append([]kgo.RecordHeader{}, r.Headers...)})
			return nil
		}))
	}
	return all
}

// rowOf returns the newest row of a key in a changelog.
func rowOf(t *testing.T, b broker.Broker, table, key string) (row []byte) {
	t.Helper()
	for _, r := range records(t, b, table) {
		if string(r.Key) == key {
			row = r.Value
		}
	}
	return row
}

// deleted deletes topics.
func (p place) deleted(t *testing.T, topics ...string) {
	t.Helper()
	if answer, err := kadm.NewClient(p.client(t)).DeleteTopics(t.Context(), topics...); err != nil || answer.Error() != nil {
		t.Fatal(err, answer.Error())
	}
}

// withoutGroups takes from a stopped Kafka what the groups have committed.
func (p place) withoutGroups(t *testing.T) {
	t.Helper()
	admin := kadm.NewClient(p.client(t))
	for _, m := range replay.Machines {
		if answer, err := admin.DeleteGroup(t.Context(), m.Name); err != nil || answer.Err != nil {
			t.Fatal(err, answer.Err)
		}
	}
}

// moment is how far everything has come at some time: the ends of topics, and what groups have committed.
type moment struct {
	ends      map[broker.TopicPartition]int64
	committed map[string]map[broker.TopicPartition]int64
}

func momentOf(t *testing.T, b broker.Broker) moment {
	t.Helper()
	var names []string
	for _, topic := range topics() {
		names = append(names, topic.Name)
	}
	there, err := b.Topics(t.Context(), names...)
	must(t, err)
	m := moment{committed: map[string]map[broker.TopicPartition]int64{}}
	m.ends, err = b.Ends(t.Context(), slices.Collect(maps.Keys(there))...)
	must(t, err)
	for _, machine := range replay.Machines {
		m.committed[machine.Name], err = b.Committed(t.Context(), machine.Name)
		must(t, err)
	}
	return m
}

// ends returns how many records topics have had.
func ends(t *testing.T, p place) (n map[string]int64) {
	t.Helper()
	n = map[string]int64{}
	p.opened(t, func(b broker.Broker) {
		for at, end := range momentOf(t, b).ends {
			n[at.Topic] += end
		}
	})
	return n
}

// follow reads topics from their start, until enough says so of a record.
func follow(t *testing.T, b broker.Broker, enough func(*kgo.Record) bool, topics ...string) error {
	t.Helper()
	found, err := b.Topics(t.Context(), topics...)
	must(t, err)
	from := map[string]map[int32]int64{}
	for topic, d := range found {
		from[topic] = map[int32]int64{}
		for n := range d.Partitions {
			from[topic][n] = 0
		}
	}
	reader, err := b.Follow(from)
	must(t, err)
	defer reader.Close()
	ctx, cancel := within(t)
	defer cancel()
	for {
		batches, err := reader.Poll(ctx)
		if err != nil {
			return err
		}
		for _, batch := range batches {
			for _, r := range batch.Records {
				if enough(r) {
					return nil
				}
			}
		}
	}
}

// untilLogged waits until a topic has had so many records.
func untilLogged(t *testing.T, b broker.Broker, topic string, want int64) {
	t.Helper()
	have := int64(0)
	err := follow(t, b, func(*kgo.Record) bool {
		have++
		return have >= want
	}, topic)
	if err != nil {
		t.Fatalf("%s has had %d records, expected %d: %v", topic, have, want, err)
	}
}

// awaitChange returns when a changelog has a row of a key as wanted.
func awaitChange(t *testing.T, b broker.Broker, table, key string, wanted func(row []byte) bool) {
	t.Helper()
	err := follow(t, b, func(r *kgo.Record) bool { return string(r.Key) == key && wanted(r.Value) }, table)
	if err != nil {
		t.Fatalf("%s never had the row of %s that was expected: %v", table, key, err)
	}
}

// within is the time after which a test is hung.
func within(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), 4*generous)
}
