package cli

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal/files"
	"stockflow/processors"
	"stockflow/replay"
)

// TestAKilledStockflowIsVerified, though it has left behind where it answered HTTP.
func TestAKilledStockflowIsVerified(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	halt(t, newMill(t, dir).server)
	if _, err := announce(files.OS(), dir, "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	told(t, 0, []string{allEqual}, "verify", "--data="+dir)
}

// TestATableThatWasLostTooAndNotRebuiltIsStillRefused: on an empty table that is taken for the right one, the machine would
// decide everything anew.
func TestATableThatWasLostTooAndNotRebuiltIsStillRefused(t *testing.T) {
	t.Parallel()
	p := tradedOnKafka(t)
	p.deleted(t, processors.InventoryTable, processors.ShipmentTable)
	told(t, 0, nil, append([]string{"replay", "--table=shipment", "--yes"}, p.flags()...)...)
	told(t, 1, []string{"topic inventory-table was deleted and made again"}, append([]string{"serve", "--http=127.0.0.1:0"}, p.flags()...)...)
	p.wantRebuilt(t, "inventory")
}

// TestALostTableIsMissedByAStranger: a process that was never there before knows by the group's offsets that there was a table.
func TestALostTableIsMissedByAStranger(t *testing.T) {
	t.Parallel()
	p := tradedOnKafka(t)
	p.deleted(t, processors.InventoryTable)
	must(t, os.Remove(filepath.Join(p.dir, topicsFile)))
	told(t, 1, []string{"tables were lost", "topic inventory-table is gone, and its group has taken inventory-events/"},
		append([]string{"serve", "--http=127.0.0.1:0"}, p.flags()...)...)
	p.wantRebuilt(t, "inventory")
}

// wantRebuilt rebuilds a table, after which there is nothing wrong, also not in what HTTP serves.
func (p place) wantRebuilt(t *testing.T, table string) {
	t.Helper()
	told(t, 0, nil, append([]string{"replay", "--table=" + table, "--yes"}, p.flags()...)...)
	m := millOf(t, p)
	told(t, 0, []string{allEqual, "over HTTP"}, p.verify("--url=http://"+m.server.HTTPAddr())...)
	halt(t, m.server)
}

func TestATableWithOtherPartitionsCanNotBeVerified(t *testing.T) {
	t.Parallel()
	p := onKafka(t)
	halt(t, millOf(t, p).server)
	p.deleted(t, processors.InventoryTable)
	if answer, err := kadm.NewClient(p.client(t)).CreateTopic(t.Context(), 1, 1, nil, processors.InventoryTable); err != nil || answer.Err != nil {
		t.Fatal(err, answer.Err)
	}
	told(t, 2, []string{"order-events has 8 partitions and inventory-table has 1"}, p.verify()...)
}

// TestABusyStockflowIsVerified, one that says "not now", and whose views are a while behind their tables.
func TestABusyStockflowIsVerified(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	m := newMill(t, dir)
	var mu sync.Mutex
	asked := map[string]int{}
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		first := asked[r.URL.Path] == 1
		mu.Unlock()
		a := m.client.send("GET", r.URL.RequestURI(), "")
		switch {
		case r.URL.Path == "/v1/orders" && first:
			a.status, a.text = http.StatusTooManyRequests, "{}"
		case r.URL.Path == "/v1/inventory":
			a.text = without(t, a.text, "sku-4")
		case strings.HasSuffix(r.URL.Path, "/sku-4") && first:
			a.status, a.text = http.StatusNotFound, "{}"
		}
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.text))
	}))
	defer busy.Close()
	told(t, 0, []string{allEqual, "11 rows, 10 over HTTP"}, "verify", "--data="+dir, "--url="+busy.URL)
	if asked["/v1/inventory/sku-4"] != 2 {
		t.Errorf("what was behind was asked for %d times", asked["/v1/inventory/sku-4"])
	}
	halt(t, m.server)
}

// without takes a SKU out of a page.
func without(t *testing.T, page, sku string) string {
	t.Helper()
	var all struct {
		Items []map[string]any `json:"items"`
	}
	if err := json.Unmarshal([]byte(page), &all); err != nil {
		t.Error(err)
	}
	all.Items = slices.DeleteFunc(all.Items, func(item map[string]any) bool { return item["sku"] == sku })
	text, err := json.Marshal(all)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// TestAnAnswerThatIsAnErrorIsNotTakenForNone: that a group's members or offsets can't be told doesn't mean that it has none.
func TestAnAnswerThatIsAnErrorIsNotTakenForNone(t *testing.T) {
	t.Parallel()
	p := tradedOnKafka(t)
	rebuild := func() error {
		_, err := replay.Rebuilding{Conn: p.conn(), Machines: replay.Machines}.Rebuild(t.Context())
		return err
	}
	p.kafka.Cluster().ControlKey(int16(kmsg.DescribeGroups), func(r kmsg.Request) (kmsg.Response, error, bool) {
		answer := r.ResponseKind().(*kmsg.DescribeGroupsResponse)
		for _, name := range r.(*kmsg.DescribeGroupsRequest).Groups {
			group := kmsg.NewDescribeGroupsResponseGroup()
			group.Group, group.ErrorCode = name, kerr.GroupAuthorizationFailed.Code
			answer.Groups = append(answer.Groups, group)
		}
		return answer, nil, true
	})
	if err := rebuild(); !errors.Is(err, kerr.GroupAuthorizationFailed) {
		t.Errorf("without knowing who processes, it ends with %v", err)
	}
	p.kafka.Cluster().ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		answer := r.ResponseKind().(*kmsg.OffsetFetchResponse)
		for _, asked := range r.(*kmsg.OffsetFetchRequest).Groups {
			p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			p.Offset, p.ErrorCode = -1, kerr.TopicAuthorizationFailed.Code
			topic := kmsg.NewOffsetFetchResponseGroupTopic()
			topic.Topic, topic.Partitions = processors.OrderEvents, append(topic.Partitions, p)
			group := kmsg.NewOffsetFetchResponseGroup()
			group.Group, group.Topics = asked.Group, append(group.Topics, topic)
			answer.Groups = append(answer.Groups, group)
		}
		return answer, nil, true
	})
	if err := rebuild(); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("without knowing what is committed, it ends with %v", err)
	}
}

// TestWhatHidesARowBeyondTheCutIsWrittenOver: the group was killed before it committed what a row took in, and what lies
// behind the row in the changelog is none.
func TestWhatHidesARowBeyondTheCutIsWrittenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	n := broker.Partition([]byte("sku-3"), 8)
	parted := partings{}
	opened(t, dir, func(b broker.Local) {
		head, err := codecs.DecodeHead(rowOf(t, b, processors.InventoryTable, "sku-3"))
		must(t, err)
		parted["inventory-table sku-3"] = head.Applied
		must(t, b.Commit(t.Context(), "inventory", map[broker.TopicPartition]int64{{Topic: processors.InventoryEvents, Partition: n}: head.Applied}))
	})
	produced(t, dir, &kgo.Record{Topic: processors.InventoryTable, Key: []byte("sku-3"), Value: []byte("\xff")})
	place{dir: dir}.mended(t, []string{`"sku-3"`, "does not decode"}, parted)
}
