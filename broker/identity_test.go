package broker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// remember makes the shop's topics, with three orders, and remembers them.
func rememberShop(t *testing.T) (c Connection, file string) {
	t.Helper()
	dir := t.TempDir()
	c, file = open(t, dir).Connection(), filepath.Join(dir, "topics.json")
	ensure(t, c, 1, shop...)
	if _, err := CheckIdentity(t.Context(), c, file, shop); err != nil {
		t.Fatalf("before anything is remembered: %v", err)
	}
	produce(t, c, "orders", "a", "b", "c")
	remember(t, c, file)
	return c, file
}

func remember(t *testing.T, c Connection, file string) {
	t.Helper()
	if err := Remember(t.Context(), c, file, shop); err != nil {
		t.Fatal(err)
	}
}

func TestTheSameTopicsAreTaken(t *testing.T) {
	c, file := rememberShop(t)
	produce(t, c, "orders", "d")
	if warnings, err := CheckIdentity(t.Context(), c, file, shop); len(warnings) > 0 || err != nil {
		t.Errorf("%q, %v", warnings, err)
	}
	remember(t, c, file)
	after := append([]Topic{{"new", Log}}, shop...)
	if warnings, err := CheckIdentity(t.Context(), c, file, after); len(warnings) > 0 || err != nil {
		t.Errorf("with a new topic: %q, %v", warnings, err)
	}
}

func TestATopicMadeAgainIsRefused(t *testing.T) {
	c, file := rememberShop(t)
	remake(t, c, shop[0], 1, nil)
	_, err := CheckIdentity(t.Context(), c, file, shop)
	wantError(t, err, "orders", "partition 0 ended at 3 and ends at 0", file)

	produce(t, c, "orders", "a", "b", "c", "d") // longer than it was, and still another
	_, err = CheckIdentity(t.Context(), c, file, shop)
	wantError(t, err, "orders", "made again")
}

func TestATopicThatIsGoneIsRefused(t *testing.T) {
	c, file := rememberShop(t)
	if _, err := admin(t, c).DeleteTopic(t.Context(), "order-table"); err != nil {
		t.Fatal(err)
	}
	_, err := CheckIdentity(t.Context(), c, file, shop)
	wantError(t, err, "order-table is gone")
	if _, err := admin(t, c).DeleteTopics(t.Context(), names(shop)...); err != nil {
		t.Fatal(err)
	}
	_, err = CheckIdentity(t.Context(), c, file, shop)
	wantError(t, err, "orders is gone", "dead-letters is gone")
}

// The log's files are put back to what they were, as from a backup: same ids, fewer messages.
func TestALogThatWasCutIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "topics.json")
	e := open(t, dir)
	ensure(t, e.Connection(), 1, shop...)
	produce(t, e.Connection(), "orders", "a")
	closeBroker(t, e)
	backup := filepath.Join(t.TempDir(), "broker")
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(dir, "broker"))); err != nil {
		t.Fatal(err)
	}

	e = open(t, dir)
	produce(t, e.Connection(), "orders", "b", "c")
	remember(t, e.Connection(), file)
	closeBroker(t, e)
	if err := os.RemoveAll(filepath.Join(dir, "broker")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "broker"), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}

	_, err := CheckIdentity(t.Context(), open(t, dir).Connection(), file, shop)
	wantError(t, err, "orders, partition 0", "ended at 3 and ends at 1")
}

func TestALogWhoseStartHasExpired(t *testing.T) {
	c, file := rememberShop(t)
	var upTo kadm.Offsets
	upTo.AddOffset("orders", 0, 2, -1)
	if _, err := admin(t, c).DeleteRecords(t.Context(), upTo); err != nil {
		t.Fatal(err)
	}
	warnings, err := CheckIdentity(t.Context(), c, file, shop)
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
		_, err := CheckIdentity(t.Context(), c, file, shop)
		wantError(t, err, file, "remove the file")
	}
}
