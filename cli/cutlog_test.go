package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockflow/processors"
)

// TestALogThatIsNotTheSameIsRefused: rows say what they have taken in, by offset. On a log that was cut, or deleted and made
// again, that would be a lie, so a server does not start on one; it says which topic and partition, and where it ended.
func TestALogThatIsNotTheSameIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(t *testing.T, dir, backup string)
		says []string
	}{
		"gone": {
			func(t *testing.T, dir, _ string) { must(t, os.RemoveAll(journalIn(dir))) },
			[]string{"order-events", "shipment-table", "made again"},
		},
		"put back from a backup": {
			putBack,
			[]string{"order-events, partition", "inventory-events, partition", "ended at 1 and ends at 0", "topics.json"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "journal")
			server, _ := spawnServer(t, dir)
			must(t, server.Stop())
			must(t, os.CopyFS(backup, os.DirFS(journalIn(dir))))
			server, client := spawnServer(t, dir)
			client.want("POST", lampPath+"/receipts", fiveUnits, 200)
			client.placed(lampOrder, orderPath, `"confirmed"`)
			must(t, server.Stop())
			server, _ = spawnServer(t, dir) // whose start remembers where the logs end
			must(t, server.Stop())

			c.lose(t, dir, backup)
			wantRefusedStart(t, []string{"--data=" + dir}, c.says)
		})
	}
}

// TestAnOlderJournalHasNoStoresOfLater: files of before were put back, and nobody remembers where the logs ended. The stores have taken in
// what is gone, so they are set aside, and the logs go on from where they are.
func TestAnOlderJournalHasNoStoresOfLater(t *testing.T) {
	t.Parallel()
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "journal")
	server, client := spawnServer(t, dir)
	client.want("POST", lampPath+"/receipts", `{"quantity":6}`, 200)
	client.placed(lampOrder, orderPath, `"confirmed"`)
	must(t, server.Stop())
	must(t, os.CopyFS(backup, os.DirFS(journalIn(dir))))
	server, client = spawnServer(t, dir)
	client.placed(strings.Replace(lampOrder, "o-1", "o-2", 1), "/v1/orders/o-2", `"confirmed"`)
	must(t, server.Stop())

	putBack(t, dir, backup)
	must(t, os.Remove(filepath.Join(dir, topicsFile)))
	server, client = spawnServer(t, dir)
	client.want("GET", orderPath, "", 200, `"confirmed"`)
	client.want("GET", "/v1/orders/o-2", "", 404)
	client.wantStock("lamp", 6, 2)
	client.placed(strings.Replace(lampOrder, "o-1", "o-3", 1), "/v1/orders/o-3", `"confirmed"`)
	client.wantStock("lamp", 6, 4)
	told(t, 0, []string{allEqual, "2 orders", "over HTTP"}, "verify", "--data="+dir)
	for _, name := range stores {
		if _, err := os.Stat(filepath.Join(dir, name+".other")); err != nil {
			t.Error(err)
		}
	}
	must(t, server.Stop())
}

// TestALogThatWasMadeAgainIsRefused: somebody has deleted a topic on Kafka.
func TestALogThatWasMadeAgainIsRefused(t *testing.T) {
	t.Parallel()
	p := tradedOnKafka(t)
	halt(t, millOf(t, p).server) // whose start remembers where the logs end
	p.deleted(t, processors.OrderEvents)
	_, _, err := p.conn().Ensure(t.Context(), topics(), 8)
	must(t, err)
	wantRefusedStart(t, p.flags(), []string{"order-events", "made again", "topics.json", "; partition ", " and ends at 0"})
}

// wantRefusedStart expects a server to end at its start, and to say why.
func wantRefusedStart(t *testing.T, flags, says []string) {
	t.Helper()
	again := spawn(t, append([]string{"serve", "--http", "127.0.0.1:0", "--kafka=off"}, flags...)...)
	if code := again.Exit(); code != 1 {
		t.Errorf("the exit code is %d", code)
	}
	for _, want := range says {
		if said := again.LastWords(); !strings.Contains(said, want) {
			t.Errorf("it says %s\nexpected %q in it", said, want)
		}
	}
}

// putBack gives a server the files that its journal had before.
func putBack(t *testing.T, dir, backup string) {
	t.Helper()
	must(t, os.RemoveAll(journalIn(dir)))
	must(t, os.CopyFS(journalIn(dir), os.DirFS(backup)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
