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

// TestTopicsBeforeAndAfterTheFirstStart: all are missing, then all are as they should be, then three are not.
func TestTopicsBeforeAndAfterTheFirstStart(t *testing.T) {
	t.Parallel()
	conn := onKafka(t, kfake.NumBrokers(3)).conn()
	ask := []string{"topics", "--brokers", strings.Join(conn.Brokers, ",")}
	told(t, 0, []string{"9 topics, 9 of them missing; 0 settings refused", "made by the next serve"}, append(ask, "--partitions=4")...)

	if _, _, err := conn.Ensure(t.Context(), topics(), 4); err != nil {
		t.Fatal(err)
	}
	shown := told(t, 0, []string{"0 of them missing; 0 settings refused, 0 warnings", "min.compaction.lag.ms"}, ask...)
	if strings.Contains(shown, "REFUSED") || !strings.Contains(shown, "LogAppendTime") {
		t.Errorf("it says %s", shown)
	}

	alter(t, conn, processors.OrderEvents, "retention.ms", "1000")
	alter(t, conn, processors.OrderTable, "cleanup.policy", "delete")
	alter(t, conn, engine.DeadLetters, "retention.ms", "1000")
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

// TestTopicsOfADirectory are those of its journal, whether somebody runs on it or not, and its files are shown below them.
func TestTopicsOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	told(t, 2, []string{"there is no Stockflow's log"}, "topics", "--data", dir)
	told(t, 2, []string{"--partitions"}, "topics", "--partitions=0")
	server, client := open(t, dir)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	newQuiet(t, server).wait(t)
	fine := []string{"0 of them missing; 0 settings refused, 0 warnings", "journal " + journalIn(dir) + ", epoch 1, up to position "}
	told(t, 0, fine, "topics", "--data", dir)
	running := topicsAsJSON(t, dir)
	halt(t, server)
	told(t, 0, fine, "topics", "--data", dir)
	stopped := topicsAsJSON(t, dir)
	if running.ID == "" || running.ID != stopped.ID || running.Epoch != 1 || running.Position <= 0 || running.Position > stopped.Position {
		t.Errorf("the journal is %+v while it runs, and %+v when it is stopped", running, stopped)
	}
	if stopped.UnsealedFiles < 1 || stopped.UnsealedBytes < 100 || stopped.SealedFiles > 0 || stopped.SealedBytes > 0 {
		t.Errorf("the journal is %+v", stopped)
	}
}

// topicsAsJSON returns what is told of the journal, below nine topics.
func topicsAsJSON(t *testing.T, dir string) shownJournal {
	t.Helper()
	var all struct {
		Topics  []shownTopic
		Journal shownJournal
	}
	if err := json.Unmarshal([]byte(told(t, 0, nil, "topics", "--json", "--data", dir)), &all); err != nil || len(all.Topics) != 9 {
		t.Errorf("%d topics are shown, %v", len(all.Topics), err)
	}
	return all.Journal
}
