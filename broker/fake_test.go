package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/stockflowtest/fake"
)

// soon bounds an answer that has to come by itself.
const soon = time.Minute

// kafka connects to a fake Kafka of so many brokers.
func kafka(t *testing.T, brokers int, opts ...kfake.Opt) Connection {
	t.Helper()
	return Connection{Brokers: fake.Open(t, append([]kfake.Opt{kfake.NumBrokers(brokers)}, opts...)...).Brokers()}
}

func client(t testing.TB, c Connection, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := c.Client(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func admin(t testing.TB, c Connection) *kadm.Client { return kadm.NewClient(client(t, c)) }

func ensure(t testing.TB, c Connection, partitions int32, topics ...Topic) {
	t.Helper()
	if _, _, err := c.Ensure(t.Context(), topics, partitions); err != nil {
		t.Fatal(err)
	}
}

func produce(t testing.TB, c Connection, topic string, values ...string) {
	t.Helper()
	cl := client(t, c)
	defer cl.Close()
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Key: []byte("key"), Value: []byte(v)}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// have returns the settings of a topic as the broker has them.
func have(t *testing.T, c Connection, topic string) map[string]string {
	t.Helper()
	all, err := admin(t, c).DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return values(all[0])
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, want := range parts {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q doesn't have %q", err, want)
		}
	}
}
