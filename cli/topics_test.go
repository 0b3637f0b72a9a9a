package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/processors"
)

// newKafka starts a broker that isn't embedded.
func newKafka(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// TestTopicsBeforeAndAfterTheFirstStart: all are missing, then all are as they should be, then three are not.
func TestTopicsBeforeAndAfterTheFirstStart(t *testing.T) {
	t.Parallel()
	conn := broker.Connection{Brokers: newKafka(t).ListenAddrs()}
	ask := []string{"topics", "--brokers", strings.Join(conn.Brokers, ",")}
	told(t, 0, []string{"9 topics, 9 of them missing; 0 settings refused", "made by the next serve"}, append(ask, "--partitions=4")...)

	if _, _, err := broker.Ensure(t.Context(), conn, topics(), 4); err != nil {
		t.Fatal(err)
	}
	shown := told(t, 0, []string{"0 of them missing; 0 settings refused, 0 warnings", "min.compaction.lag.ms"}, ask...)
	if strings.Contains(shown, "REFUSED") || !strings.Contains(shown, "LogAppendTime") {
		t.Errorf("it says %s", shown)
	}

	alter(t, conn, processors.OrderEvents, "retention.ms", "1000")
	alter(t, conn, processors.OrderTable, "cleanup.policy", "delete")
	alter(t, conn, engine.Letters, "retention.ms", "1000")
	told(t, 1, []string{"REFUSED: what is old would be deleted", "2 settings refused, 1 warnings", "serve refuses to start"}, ask...)
	var all struct {
		Topics []struct {
			Topic    string
			Exists   bool
			Settings []struct{ Name, Is, Verdict, Why string }
		}
		Refused, Warnings int
	}
	text := told(t, 1, nil, append(ask, "--json")...)
	if err := json.Unmarshal([]byte(text), &all); err != nil || all.Refused != 2 || all.Warnings != 1 || len(all.Topics) != 9 {
		t.Fatalf("%v: %s", err, text)
	}
	var marked []string
	for _, topic := range all.Topics {
		for _, s := range topic.Settings {
			if s.Verdict != "fine" {
				marked = append(marked, fmt.Sprint(topic.Topic, " ", s.Name, "=", s.Is, " ", s.Verdict))
			}
		}
	}
	want := "order-events retention.ms=1000 refused, order-table cleanup.policy=delete refused, dead-letters retention.ms=1000 warning"
	if got := strings.Join(marked, ", "); got != want {
		t.Errorf("marked are %s, expected %s", got, want)
	}
}

func alter(t *testing.T, conn broker.Connection, topic, name, value string) {
	t.Helper()
	client, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}
	answers, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), change, topic)
	if err != nil || answers[0].Err != nil {
		t.Fatal(err, answers)
	}
}

// TestTopicsOfADirectory are the embedded broker's, whether it runs or not.
func TestTopicsOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	told(t, 2, []string{"there is no Stockflow's log"}, "topics", "--data", dir)
	told(t, 2, []string{"--partitions"}, "topics", "--partitions=0")
	server, _ := openQuickly(t, dir)
	told(t, 0, []string{"0 of them missing; 0 settings refused, 0 warnings"}, "topics", "--data", dir)
	halt(t, server)
	told(t, 0, []string{"0 of them missing; 0 settings refused, 0 warnings"}, "topics", "--data", dir)
}
