package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// expire takes from a log what lies before an offset of a partition, as retention does.
func expire(t *testing.T, client *kgo.Client, log string, partition int32, offset int64) {
	t.Helper()
	cut := kadm.Offsets{}
	cut.AddOffset(log, partition, offset, -1)
	if answer, err := kadm.NewClient(client).DeleteRecords(t.Context(), cut); err != nil || answer.Error() != nil {
		t.Fatal(err, answer.Error())
	}
}

// expireAll leaves of each partition of the logs its last record.
func expireAll(t *testing.T, client *kgo.Client) {
	t.Helper()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), logs...)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 1 {
			expire(t, client, end.Topic, end.Partition, end.Offset-1)
		}
	})
}

// TestWhatHasExpiredIsNotLookedBackOn: logs on Kafka have lost their beginnings. A server that has a history from before goes on to say
// what was then. Without one it is a 410, and show fails; both say where the log begins now. What is now is there as ever.
func TestWhatHasExpiredIsNotLookedBackOn(t *testing.T) {
	t.Parallel()
	p := tradedOnKafka(t)
	m := millOf(t, p)
	var parcel struct{ History []struct{ At string } }
	if err := json.Unmarshal([]byte(m.client.send("GET", "/v1/shipments/o-0", "").text), &parcel); err != nil || len(parcel.History) != 2 {
		t.Fatalf("the shipment is %+v, %v", parcel, err)
	}
	looks := looksBack{t, p.flags(), parcel.History[0].At} // when there was no other order
	url := "--url=http://" + m.server.HTTPAddr()
	now, then, shown := looks.now(m.client), looks.then(m.client), looks.shown(url)
	expireAll(t, p.client(t))
	if got := looks.then(m.client); got != then {
		t.Errorf("with a history the rows were %s, expected %s", got, then)
	}
	if got := looks.shown(url); got != shown {
		t.Errorf("by a server with a history the rows are shown as %s, expected %s", got, shown)
	}
	looks.notShown()
	halt(t, m.server)
	must(t, os.RemoveAll(filepath.Join(p.dir, "history")))
	m = millOf(t, p)
	looks.notShown("--url=http://" + m.server.HTTPAddr())
	looks.gone(m.client)
	if got := looks.now(m.client); got != now {
		t.Errorf("the rows are %s, expected %s", got, now)
	}
}

// looksBack are looks at rows of three tables.
type looksBack struct {
	*testing.T
	flags []string // where the logs are
	at    string   // a time at which the rows are there
}

var lookedAt = []struct{ table, key, path string }{
	{"order", "o-0", "/v1/orders/o-0"}, {"inventory", "sku-0", "/v1/inventory/sku-0"}, {"shipment", "o-0", "/v1/shipments/o-0"},
}

func (l looksBack) now(client *shop) (rows string) {
	l.Helper()
	for _, row := range lookedAt {
		rows += client.send("GET", row.path, "").text + "\n"
	}
	return rows
}

func (l looksBack) then(client *shop) (rows string) {
	l.Helper()
	for _, row := range lookedAt {
		client.until(row.path+"?at="+l.at, `"version":`) // once the history has been read so far
		a := client.send("GET", row.path+"?at="+l.at, "")
		if rows += a.text + "\n"; a.status != http.StatusOK {
			l.Errorf("%s is answered with %d %s", row.path, a.status, a.text)
		}
	}
	return rows
}

func (l looksBack) shown(more ...string) (rows string) {
	l.Helper()
	for _, row := range lookedAt {
		rows += shows(l.T, 0, "after ", append([]string{row.table, row.key, "--at=" + l.at}, append(more, l.flags...)...)...)
	}
	return rows
}

// says is what is said of a row whose log has lost its beginning.
func (l looksBack) says(table, key string) string {
	return fmt.Sprintf("log %s-events/%d begins at offset ", table, broker.Partition([]byte(key), 8))
}

// notShown expects show to fail: for the time, for an offset, and for now, as that is a fold too.
func (l looksBack) notShown(more ...string) {
	l.Helper()
	fails := func(says string, args ...string) {
		l.Helper()
		shows(l.T, 1, says, append(append(args, l.flags...), more...)...)
	}
	for _, row := range lookedAt {
		fails(l.says(row.table, row.key), row.table, row.key, "--at="+l.at)
	}
	fails(l.says("order", "o-0"), "order", "o-0", "--at=0")
	fails(l.says("order", "o-0"), "order", "o-0")
	fails("there was no row of "+nobody+" in shipment by then", "shipment", nobody, "--at="+l.at)
}

// nobody is a key of a partition of shipment-events that is empty. So nothing of it has expired, and that it wasn't there is known,
// though not when the log began.
var nobody = onPartition(1, "nobody-")

// gone expects a 410 from all that looks back on what has expired.
func (l looksBack) gone(client *shop) {
	l.Helper()
	for _, row := range lookedAt {
		for _, at := range []string{l.at, time.Now().UTC().Format(time.RFC3339)} {
			client.want("GET", row.path+"?at="+at, "", 410, `"code":"history_expired"`, l.says(row.table, row.key), "has expired")
		}
	}
	for _, path := range []string{"/v1/orders/o-0/events", "/v1/orders/o-0/explain", "/v1/rows/order/o-0?offset=0"} {
		client.want("GET", path, "", 410, `"code":"history_expired"`, l.says("order", "o-0"))
	}
	client.want("GET", "/v1/shipments/"+nobody+"?at="+l.at, "", 404, "There was no such shipment at "+l.at)
}
