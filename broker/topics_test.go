package broker

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"stockflow/stockflowtest/fake"
)

var shop = []Topic{{"orders", Log}, {"order-table", Table}, {"dead-letters", Letters}}

func TestEnsureMakesWhatIsMissing(t *testing.T) {
	c := kafka(t, 1)
	count, warnings, err := c.Ensure(t.Context(), shop, 3)
	if count != 3 || len(warnings) > 0 || err != nil {
		t.Fatalf("first: %d, %q, %v", count, warnings, err)
	}
	found, err := admin(t, c).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range shop {
		if n := len(found[topic.Name].Partitions); n != 3 {
			t.Errorf("%s has %d partitions, want 3", topic.Name, n)
		}
	}
}

func TestEnsureAgain(t *testing.T) {
	c := kafka(t, 1)
	ensure(t, c, 3, shop[:2]...)
	before := ids(t, c)
	count, warnings, err := c.Ensure(t.Context(), shop, 3)
	if count != 3 || len(warnings) > 0 || err != nil {
		t.Errorf("again: %d, %q, %v", count, warnings, err)
	}
	count, warnings, err = c.Ensure(t.Context(), shop, 5)
	if count != 3 || len(warnings) != 1 || err != nil {
		t.Errorf("with another number: %d, %q, %v; want 3 and a warning", count, warnings, err)
	}
	after := ids(t, c)
	delete(after, "dead-letters")
	if !maps.Equal(before, after) {
		t.Errorf("topics were made again: %v, then %v", before, after)
	}
}

func ids(t *testing.T, c Connection) map[string]string {
	t.Helper()
	found, err := admin(t, c).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for name, d := range found {
		all[name] = d.ID.String()
	}
	return all
}

func TestEnsureAtOnce(t *testing.T) {
	c := kafka(t, 1)
	const callers = 4
	done := make(chan error, callers)
	for range callers {
		go func() {
			_, _, err := c.Ensure(t.Context(), shop, 2)
			done <- err
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestEnsureRefuses(t *testing.T) {
	for _, test := range []struct {
		name     string
		topic    Topic
		count    int32
		settings map[string]string
		want     []string // in the error
	}{
		{"another number of partitions", shop[1], 4, nil, []string{"order-table", "4", "orders", "3"}},
		{"a log that expires", shop[0], 3, map[string]string{"retention.ms": "1000"}, []string{"orders", "retention.ms=1000"}},
		{"a log of limited size", shop[0], 3, map[string]string{"retention.bytes": "1000"}, []string{"orders", "retention.bytes=1000"}},
		{"a log that is compacted", shop[0], 3, map[string]string{"cleanup.policy": "compact"}, []string{"orders", "cleanup.policy=compact"}},
		{"a table that expires", shop[1], 3, map[string]string{"cleanup.policy": "delete"}, []string{"order-table", "cleanup.policy=delete"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := kafka(t, 1)
			ensure(t, c, 3, shop...)
			remake(t, c, test.topic, test.count, test.settings)
			_, _, err := c.Ensure(t.Context(), shop, 3)
			wantError(t, err, test.want...)
		})
	}
}

// remake deletes a topic and makes it again by hand, with the settings that it had but for those given.
func remake(t *testing.T, c Connection, topic Topic, count int32, settings map[string]string) {
	t.Helper()
	all := make(map[string]*string)
	for _, s := range settingsOf(topic.Kind, 1) {
		all[s.name] = &s.value
	}
	for name, value := range settings {
		all[name] = &value
	}
	a := admin(t, c)
	if _, err := a.DeleteTopic(t.Context(), topic.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateTopic(t.Context(), count, 1, all, topic.Name); err != nil {
		t.Fatal(err)
	}
}

func TestEnsureWarns(t *testing.T) {
	c := kafka(t, 1)
	ensure(t, c, 3, shop...)
	remake(t, c, shop[0], 3, map[string]string{"max.message.bytes": "1000000", "message.timestamp.type": "CreateTime"})
	remake(t, c, shop[2], 3, map[string]string{"retention.ms": "1000"})
	_, warnings, err := c.Ensure(t.Context(), shop, 3)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(warnings)
	all := strings.Join(warnings, "\n")
	for _, want := range []string{"topic dead-letters (dead letters) has retention.ms=1000", "topic orders (log) has max.message.bytes=1000000",
		"topic orders (log) has message.timestamp.type=CreateTime"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning that %s in\n%s", want, all)
		}
	}
	if len(warnings) != 3 {
		t.Errorf("%d warnings:\n%s", len(warnings), all)
	}
}

func TestEnsureTakesNoNonsense(t *testing.T) {
	_, _, err := Connection{Brokers: []string{"127.0.0.1:1"}}.Ensure(t.Context(), shop, 0)
	wantError(t, err, "partitions", "0")
}

func TestEnsureWithoutABroker(t *testing.T) {
	gone := fake.Open(t)
	gone.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := Connection{Brokers: gone.Brokers()}.Ensure(ctx, shop, 1)
	wantError(t, err, gone.Brokers()...)
}

// What the settings are on a Kafka of so many brokers, which no test here has.
func TestSettingsOnKafka(t *testing.T) {
	for _, test := range []struct {
		kind    Kind
		brokers int
		want    map[string]string
	}{
		{Log, 1, map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1",
			"message.timestamp.type": "LogAppendTime", "max.message.bytes": "4195328"}},
		{Letters, 2, map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1",
			"message.timestamp.type": "LogAppendTime", "max.message.bytes": "8389632"}},
		{Table, 5, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "86400000",
			"max.message.bytes": "4195328", "min.insync.replicas": "2"}},
	} {
		got := make(map[string]string)
		for _, s := range settingsOf(test.kind, test.brokers) {
			got[s.name] = s.value
		}
		if !maps.Equal(got, test.want) {
			t.Errorf("%s on %d brokers: %v, want %v", test.kind, test.brokers, got, test.want)
		}
	}
	if replicas(1) != 1 || replicas(2) != 2 || replicas(9) != 3 {
		t.Errorf("replicas on 1, 2, 9 brokers: %d, %d, %d", replicas(1), replicas(2), replicas(9))
	}
}
