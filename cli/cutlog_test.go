package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"stockflow/broker"
	"stockflow/processors"
)

// TestALogThatIsNotTheSameIsRefused: rows say what they have taken in, by offset. On a log that was cut, or deleted and made
// again, that would be a lie, so a server does not start on one; it says which topic and partition, and where it ended.
func TestALogThatIsNotTheSameIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(t *testing.T, dir, backup string)
		says []string
	}{
		"made again": {
			func(t *testing.T, dir, _ string) { remake(t, dir, processors.OrderEvents) },
			[]string{"order-events", "made again", "topics.json", "; partition ", "ended at 3 and ends at 0"},
		},
		"gone": {
			func(t *testing.T, dir, _ string) {
				must(t, os.RemoveAll(filepath.Join(dir, "broker")))
			},
			[]string{"order-events", "shipment-table", "made again"},
		},
		"put back from a backup": {
			putBack,
			[]string{"order-events, partition", "inventory-events, partition", "ended at 1 and ends at 0", "topics.json"},
		},
		"put back, and nobody remembers": {
			func(t *testing.T, dir, backup string) {
				putBack(t, dir, backup)
				must(t, os.Remove(filepath.Join(dir, "topics.json")))
			},
			[]string{"a log is shorter than what was taken from it", "the store of ", "-table/", "has taken in offset", "and it ends at "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "broker")
			server, _ := spawnServer(t, dir)
			must(t, server.Stop())
			must(t, os.CopyFS(backup, os.DirFS(filepath.Join(dir, "broker"))))
			server, client := spawnServer(t, dir)
			client.want("POST", lampPath+"/receipts", fiveUnits, 200)
			client.placed(lampOrder, orderPath, `"confirmed"`)
			must(t, server.Stop())
			server, _ = spawnServer(t, dir) // whose start remembers where the logs end
			must(t, server.Stop())

			c.lose(t, dir, backup)
			again := spawn(t, "serve", "--http", "127.0.0.1:0", "--data", dir)
			if code := again.Exit(); code != 1 {
				t.Errorf("the exit code is %d", code)
			}
			for _, want := range c.says {
				if said := again.LastWords(); !strings.Contains(said, want) {
					t.Errorf("it says %s\nexpected %q in it", said, want)
				}
			}
		})
	}
}

// remake deletes a topic of a server that is stopped, and makes it again with nothing in it.
func remake(t *testing.T, dir, topic string) {
	t.Helper()
	b, err := broker.OpenEmbedded(dir)
	must(t, err)
	client, err := b.Connection().Client()
	must(t, err)
	_, err = kadm.NewClient(client).DeleteTopic(t.Context(), topic)
	must(t, err)
	_, _, err = broker.Ensure(t.Context(), b.Connection(), topics(), 8)
	must(t, err)
	client.Close()
	must(t, b.Close())
}

// putBack gives a server the files that its broker had before.
func putBack(t *testing.T, dir, backup string) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(dir, "broker")))
	must(t, os.CopyFS(filepath.Join(dir, "broker"), os.DirFS(backup)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
