package broker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"stockflow/journal/files"
	"stockflow/stockflowtest/fake"
)

// remember makes the shop's topics, with three orders, and remembers them.
func rememberShop(t *testing.T) (c Connection, file string) {
	t.Helper()
	c, file = kafka(t, 1), filepath.Join(t.TempDir(), "topics.json")
	ensure(t, c, 1, shop...)
	if _, err := CheckIdentity(t.Context(), c, files.OS(), file, shop); err != nil {
		t.Fatalf("before anything is remembered: %v", err)
	}
	produce(t, c, "orders", "a", "b", "c")
	remember(t, c, file)
	return c, file
}

func remember(t *testing.T, c Connection, file string) {
	t.Helper()
	if err := Remember(t.Context(), c, files.OS(), file, shop); err != nil {
		t.Fatal(err)
	}
}

func TestTheSameTopicsAreTaken(t *testing.T) {
	c, file := rememberShop(t)
	produce(t, c, "orders", "d")
	if warnings, err := CheckIdentity(t.Context(), c, files.OS(), file, shop); len(warnings) > 0 || err != nil {
		t.Errorf("%q, %v", warnings, err)
	}
	remember(t, c, file)
	after := append([]Topic{{"new", Log}}, shop...)
	if warnings, err := CheckIdentity(t.Context(), c, files.OS(), file, after); len(warnings) > 0 || err != nil {
		t.Errorf("with a new topic: %q, %v", warnings, err)
	}
}

func TestATopicMadeAgainIsRefused(t *testing.T) {
	c, file := rememberShop(t)
	remake(t, c, shop[0], 1, nil)
	_, err := CheckIdentity(t.Context(), c, files.OS(), file, shop)
	wantError(t, err, "orders", "partition 0 ended at 3 and ends at 0", file)

	produce(t, c, "orders", "a", "b", "c", "d") // longer than it was, and still another
	_, err = CheckIdentity(t.Context(), c, files.OS(), file, shop)
	wantError(t, err, "orders", "made again")
}

func TestATopicThatIsGoneIsRefused(t *testing.T) {
	c, file := rememberShop(t)
	if _, err := admin(t, c).DeleteTopic(t.Context(), "order-table"); err != nil {
		t.Fatal(err)
	}
	_, err := CheckIdentity(t.Context(), c, files.OS(), file, shop)
	wantError(t, err, "order-table is gone")
	if _, err := admin(t, c).DeleteTopics(t.Context(), names(shop)...); err != nil {
		t.Fatal(err)
	}
	_, err = CheckIdentity(t.Context(), c, files.OS(), file, shop)
	wantError(t, err, "orders is gone", "dead-letters is gone")
}

// The log's files are put back to what they were, as from a backup: same ids, fewer messages.
func TestALogThatWasCutIsRefused(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "topics.json")
	kafkaDir, backup := filepath.Join(dir, "kafka"), filepath.Join(dir, "backup")
	run := func(during func(Connection)) {
		cluster := fake.Open(t, kfake.DataDir(kafkaDir))
		during(Connection{Brokers: cluster.Brokers()})
		cluster.Close()
	}
	run(func(c Connection) {
		ensure(t, c, 1, shop...)
		produce(t, c, "orders", "a")
	})
	if err := os.CopyFS(backup, os.DirFS(kafkaDir)); err != nil {
		t.Fatal(err)
	}
	run(func(c Connection) {
		produce(t, c, "orders", "b", "c")
		remember(t, c, file)
	})

	kafkaDir = backup
	var err error
	run(func(c Connection) { _, err = CheckIdentity(t.Context(), c, files.OS(), file, shop) })
	wantError(t, err, "orders, partition 0", "ended at 3 and ends at 1")
}

func TestALogWhoseStartHasExpired(t *testing.T) {
	c, file := rememberShop(t)
	var upTo kadm.Offsets
	upTo.AddOffset("orders", 0, 2, -1)
	if _, err := admin(t, c).DeleteRecords(t.Context(), upTo); err != nil {
		t.Fatal(err)
	}
	warnings, err := CheckIdentity(t.Context(), c, files.OS(), file, shop)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "orders, partition 0: its start has expired, the first message is at 2") {
		t.Errorf("%q, %v", warnings, err)
	}
}

func TestAMemoryThatCantBeRead(t *testing.T) {
	c, file := rememberShop(t)
	for _, text := range []string{"", "{", "[]", "{}"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := CheckIdentity(t.Context(), c, files.OS(), file, shop)
		wantError(t, err, file, "remove the file")
	}
}
