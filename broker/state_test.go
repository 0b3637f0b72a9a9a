package broker

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// differences returns the traits that aren't fine, as "topic name: verdict".
func differences(states []State) []string {
	var all []string
	for _, s := range states {
		for _, trait := range s.Traits {
			if trait.Verdict != Fine {
				all = append(all, s.Topic.Name+" "+trait.Name+": "+trait.Verdict.String())
			}
		}
	}
	return all
}

// What the first start makes on a Kafka of one broker, of two, and of four.
func TestEnsureOnKafka(t *testing.T) {
	for brokers, replicas := range map[int]int{1: 1, 2: 2, 4: 3} {
		c := kafka(t, brokers)
		states, err := c.Inspect(t.Context(), shop, 5)
		if err != nil || len(differences(states)) > 0 || states[0].Exists {
			t.Fatalf("before: %v, %v", states, err)
		}
		count, warnings, err := c.Ensure(t.Context(), shop, 5)
		if count != 5 || len(warnings) > 0 || err != nil {
			t.Fatalf("on %d brokers: %d, %q, %v", brokers, count, warnings, err)
		}
		wantTopic := func(name string, want map[string]string) {
			t.Helper()
			kept := have(t, c, name)
			maps.DeleteFunc(kept, func(name, _ string) bool { _, asked := want[name]; return !asked })
			if !maps.Equal(kept, want) {
				t.Errorf("on %d brokers %s has %v, want %v", brokers, name, kept, want)
			}
		}
		wantTopic("orders", map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "message.timestamp.type": "LogAppendTime"})
		wantTopic("order-table", map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "86400000"})
		wantTopic("dead-letters", map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": "8389632"})
		if brokers == 4 {
			wantTopic("orders", map[string]string{"min.insync.replicas": "2"})
			wantTopic("order-table", map[string]string{"min.insync.replicas": "2"})
		}
		wantReplicas(t, c, "order-table", replicas)
		if states, err = c.Inspect(t.Context(), shop, 5); err != nil || len(differences(states)) > 0 || !states[2].Exists {
			t.Errorf("after: %v, %v", states, err)
		}
	}
}

func wantReplicas(t *testing.T, c Connection, topic string, want int) {
	t.Helper()
	found, err := admin(t, c).ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found[topic].Partitions {
		if len(p.Replicas) != want {
			t.Errorf("%s/%d has %d replicas, want %d", topic, p.Partition, len(p.Replicas), want)
		}
	}
}

// What Inspect marks is what Ensure says and does.
func TestInspectAgreesWithEnsure(t *testing.T) {
	for _, test := range []struct {
		topic    Topic
		count    int32
		settings map[string]string
		want     []string
	}{
		{shop[1], 4, nil, []string{"order-table partitions: refused"}},
		{shop[0], 3, map[string]string{"cleanup.policy": "compact"}, []string{"orders cleanup.policy: refused"}},
		{shop[0], 3, map[string]string{"retention.ms": "1000"}, []string{"orders retention.ms: refused"}},
		{shop[0], 3, map[string]string{"message.timestamp.type": "CreateTime"}, []string{"orders message.timestamp.type: warning"}},
		{shop[1], 3, map[string]string{"cleanup.policy": "delete"}, []string{"order-table cleanup.policy: refused"}},
		{shop[1], 3, map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}, []string{"order-table cleanup.policy: warning"}},
		{shop[1], 3, map[string]string{"min.compaction.lag.ms": "0"}, []string{"order-table min.compaction.lag.ms: warning"}},
		{shop[2], 3, map[string]string{"retention.ms": "1000"}, []string{"dead-letters retention.ms: warning"}},
	} {
		c := kafka(t, 1)
		ensure(t, c, 3, shop...)
		remake(t, c, test.topic, test.count, test.settings)
		states, err := c.Inspect(t.Context(), shop, 3)
		if got := differences(states); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%v: %q, %v, want %q", test.settings, got, err, test.want)
		}
		_, warnings, err := c.Ensure(t.Context(), shop, 3)
		if refused := strings.Contains(test.want[0], "refused"); (err != nil) != refused || len(warnings) == 1 == refused {
			t.Errorf("%s: Ensure warns %q and returns %v", test.want, warnings, err)
		}
	}
}

func TestATableOnKafkaThatExpiresIsRefused(t *testing.T) {
	kept := map[string]string{"retention.ms": "-1", "retention.bytes": "-1"}
	for _, test := range []struct {
		policy string
		others map[string]string
		want   Comparison
	}{
		{"compact", nil, Fine},
		{"delete", map[string]string{"retention.ms": "604800000", "retention.bytes": "-1"}, Refused},
		{"compact,delete", map[string]string{"retention.ms": "-1", "retention.bytes": "1000"}, Refused},
		{"delete", nil, Refused},
		{"delete", kept, Warning},
		{"compact,delete", kept, Warning},
	} {
		settings := map[string]string{"cleanup.policy": test.policy}
		maps.Copy(settings, test.others)
		for _, trait := range judge(settingsOf(Table, 1), settings) {
			if trait.Name == "cleanup.policy" && trait.Verdict != test.want {
				t.Errorf("%v: %s, want %s", settings, trait.Verdict, test.want)
			}
		}
	}
}

func TestTooFewReplicas(t *testing.T) {
	three := kadm.PartitionDetail{Replicas: []int32{1, 2, 3}}
	two := kadm.PartitionDetail{Replicas: []int32{1, 2}}
	for _, test := range []struct {
		partitions []kadm.PartitionDetail
		brokers    int
		want       Comparison
	}{
		{[]kadm.PartitionDetail{three, three}, 3, Fine},
		{[]kadm.PartitionDetail{three, three}, 1, Fine}, // two are down
		{[]kadm.PartitionDetail{three, two}, 3, Warning},
	} {
		d := kadm.TopicDetail{Partitions: kadm.PartitionDetails{}}
		for p, detail := range test.partitions {
			d.Partitions[int32(p)] = detail
		}
		if got := sizes(d, layout{partitions: 2, brokers: test.brokers})[1]; got.Verdict != test.want {
			t.Errorf("%v on %d brokers: %v, want %s", test.partitions, test.brokers, got, test.want)
		}
	}
}
