package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"stockflow/stockflowtest"
)

var copied = regexp.MustCompile(`backed up to position (\d+): (\d+) records, (\d+) bytes`)

// backedUp makes a backup, and returns up to where and how many records were copied.
func backedUp(t *testing.T, data, to string) (position, records int64) {
	t.Helper()
	text := told(t, 0, []string{"backed up to position"}, "backup", to, "--data="+data)
	m := copied.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("it says %q", text)
	}
	position, _ = strconv.ParseInt(m[1], 10, 64)
	records, _ = strconv.ParseInt(m[2], 10, 64)
	return position, records
}

// A backup of a Stockflow that runs has what was acknowledged before it, and a second one copies what is new. What is restored from it has
// the same tables, to the byte.
func TestWhatIsRestoredIsWhatWasBackedUp(t *testing.T) {
	t.Parallel()
	dir, copies := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	server, client := open(t, dir)
	client.want("POST", lampPath+"/receipts", `{"quantity": 1000}`, 200)
	place := func(from, n int) {
		for i := range n {
			client.placed(fmt.Sprintf(`{"order_id":"o-%d","lines":[{"sku":"lamp","quantity":1}]}`, from+i), fmt.Sprintf("/v1/shipments/o-%d", from+i))
		}
	}
	place(0, 20)
	first, all := backedUp(t, dir, copies)
	place(20, 5)
	newQuiet(t, server).wait(t)
	second, more := backedUp(t, dir, copies)
	if second <= first || more == 0 || more >= all/2 {
		t.Errorf("the first backup is up to %d and has %d records, the second up to %d and copied %d", first, all, second, more)
	}
	var about struct {
		Backup struct{ Position int64 } `json:"last_backup"`
	}
	must(t, json.Unmarshal([]byte(client.send("GET", "/v1/system", "").text), &about))
	if about.Backup.Position != second {
		t.Errorf("the system says that the last backup is up to %d, not %d", about.Backup.Position, second)
	}
	told(t, 0, []string{"the last backup is of 20"}, "topics", "--data="+dir)
	halt(t, server)
	before := digests(t, "--data="+dir)

	restored := t.TempDir()
	server, client = start(t, Serve{HTTP: "127.0.0.1:0", Data: restored, Partitions: 8, Restore: copies})
	client.want("GET", "/v1/orders/o-24", "", 200, `"status":"confirmed"`)
	client.want("GET", "/v1/system", "", 200, `"restored":true`)
	client.placed(`{"order_id":"o-25","lines":[{"sku":"lamp","quantity":1}]}`, "/v1/shipments/o-25")
	client.wantStock("lamp", 1000, 26)
	halt(t, server)
	told(t, 0, []string{allEqual}, "verify", "--data="+restored)

	again := t.TempDir()
	server, _ = start(t, Serve{HTTP: "127.0.0.1:0", Data: again, Partitions: 8, Restore: copies})
	halt(t, server)
	if now := digests(t, "--data="+again); !maps.Equal(now, before) {
		t.Errorf("the tables that were restored are %v, and were %v", now, before)
	}
}

// An e-mail that the original had not sent when the backup was made is not sent from the copy, until somebody says that the original is gone.
func TestWhatIsRestoredSendsNoMail(t *testing.T) {
	t.Parallel()
	dir, copies := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	busy := stockflowtest.NewRelay(t, func(int) error { return &smtp.SMTPError{Code: 451, Message: "later"} })
	server, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Mail: relayed(busy)})
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	client.placed(mailed("o-1"), "/v1/notifications/o-1", `"status":"queued"`)
	backedUp(t, dir, copies)
	halt(t, server)

	restored, relay := t.TempDir(), stockflowtest.NewRelay(t, nil)
	server, client = start(t, Serve{HTTP: "127.0.0.1:0", Data: restored, Partitions: 8, Restore: copies, Mail: relayed(relay)})
	client.placed(mailed("o-2"), "/v1/notifications/o-2", `"status":"queued"`)
	halt(t, server)
	if counts := relay.Counts(); len(counts) > 0 {
		t.Errorf("before anybody took over, these e-mails were sent: %v", counts)
	}
	server, client = start(t, Serve{HTTP: "127.0.0.1:0", Data: restored, Partitions: 8, TakeOver: true, Mail: relayed(relay)})
	untilTaken(t, relay, 2)
	if text := client.send("GET", "/v1/system", "").text; strings.Contains(text, `"restored"`) {
		t.Errorf("after it was taken over, the system says %s", text)
	}
	halt(t, server)
}

// What is not empty is not restored into.
func TestARestoreWantsAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	dir, copies := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	server, client := open(t, dir)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	backedUp(t, dir, copies)
	halt(t, server)
	told(t, 1, []string{"--restore: ", "must be empty"}, "serve", "--http=127.0.0.1:0", "--kafka=off", "--data="+dir, "--restore="+copies)
	told(t, 1, []string{"--restore: "}, "serve", "--http=127.0.0.1:0", "--kafka=off", "--data="+t.TempDir(), "--restore="+t.TempDir())
	told(t, 2, []string{"are for the journal"}, "serve", "--brokers=127.0.0.1:1", "--data="+t.TempDir(), "--restore="+copies)
	server, client = open(t, dir)
	client.wantStock("lamp", 5, 0)
	halt(t, server)
}

// Somebody puts an older copy of the journal in the place of a newer one. It is refused by name; when that is accepted, the stores are not
// taken for those of the older one.
func TestStoresOfAnotherHistoryAreSetAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, client := open(t, dir)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	halt(t, server)
	older := filepath.Join(t.TempDir(), "older")
	must(t, os.CopyFS(older, os.DirFS(journalIn(dir))))
	server, client = open(t, dir)
	client.want("POST", lampPath+"/receipts", `{"quantity": 7}`, 200, `"on_hand":12`)
	newQuiet(t, server).wait(t)
	halt(t, server)

	must(t, os.RemoveAll(journalIn(dir)))
	must(t, os.CopyFS(journalIn(dir), os.DirFS(older)))
	told(t, 1, []string{"was cut: it ended at"}, "serve", "--http=127.0.0.1:0", "--kafka=off", "--data="+dir)
	must(t, os.Remove(filepath.Join(dir, topicsFile)))
	server, client = open(t, dir)
	client.wantStock("lamp", 5, 0)
	if _, err := os.Stat(filepath.Join(dir, "views.other")); err != nil {
		t.Error("the stores were not set aside: ", err)
	}
	client.want("POST", lampPath+"/receipts", fiveUnits, 200, `"on_hand":10`)
	halt(t, server)
	told(t, 0, []string{allEqual}, "verify", "--data="+dir)
}
