package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/notification"
	"stockflow/processors"
	"stockflow/stockflowtest"
)

// mailLies are rows of e-mails that a view may serve in the place of the right ones, and what verify says of them. All are
// of orders that have been confirmed and shipped, but for nobody's.
var mailLies = map[string]struct {
	forge func(head *codecs.Head, s *notification.State) (keep bool)
	says  string
}{
	"status": {func(_ *codecs.Head, s *notification.State) bool {
		s.Mails[0].Status, s.Mails[0].Failure = notification.StatusFailed, "554 no"
		return true
	}, "HTTP serves something else than the log makes"},
	"content": {func(_ *codecs.Head, s *notification.State) bool {
		s.Mails[1].Email = "eve@example.org"
		return true
	}, "HTTP serves something else than the log makes"},
	"one-missing": {func(_ *codecs.Head, s *notification.State) bool {
		s.Mails = s.Mails[:1]
		return true
	}, "HTTP serves something else than the log makes"},
	"one-too-many": {func(_ *codecs.Head, s *notification.State) bool {
		s.Mails = append(s.Mails, notification.Mail{Notify: notification.Notify{Kind: notification.Delivered}, Status: notification.StatusSent, Round: 1})
		return true
	}, "HTTP serves something else than the log makes"},
	"none": {func(_ *codecs.Head, s *notification.State) bool {
		s.Mails = nil
		return true
	}, "HTTP doesn't serve it"},
	"gone": {func(*codecs.Head, *notification.State) bool { return false }, "HTTP doesn't serve it"},
	"version": {func(head *codecs.Head, _ *notification.State) bool {
		head.Applied += 1000
		return true
	}, "HTTP serves version 10"},
	"nobody": {func(head *codecs.Head, s *notification.State) bool {
		head.Applied = 1
		s.Mails = []notification.Mail{{Notify: notification.Notify{Kind: notification.Rejected}, Status: notification.StatusSent, Round: 1}}
		return true
	}, "HTTP serves version 1 of it, which the log doesn't make"},
}

// TestMailsThatAViewServesWronglyAreFound, each with what HTTP should serve and what it serves, and no others are named. Replay
// makes them right.
func TestMailsThatAViewServesWronglyAreFound(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	dir := t.TempDir()
	server, client := open(t, dir)
	client.want("POST", lampPath+"/receipts", `{"quantity":100}`, 200)
	right := map[string]string{}
	for _, id := range append(slices.Sorted(maps.Keys(mailLies)), "right") {
		if id == "nobody" {
			continue
		}
		client.want("POST", "/v1/orders", mailed(id), 201, `"confirmed"`)
		untilMail(t, server, id, notification.Confirmed, notification.StatusSent)
		client.want("POST", "/v1/shipments/"+id+"/dispatch", `{"carrier":"DHL","tracking_number":"X1"}`, 200)
		untilMail(t, server, id, notification.Shipped, notification.StatusSent)
		right[id] = client.send("GET", "/v1/notifications/"+id, "").text
	}
	halt(t, server)
	for id := range mailLies {
		forgeMails(t, dir, id)
	}
	server, client = open(t, dir)
	found := misservedIn(t, "--data="+dir)
	for id, lie := range mailLies {
		d := found[id]
		if d.Table != processors.NotificationTable || !strings.HasPrefix(d.Problem, lie.says) {
			t.Errorf("of %q it says %s %q, expected %q", id, d.Table, d.Problem, lie.says)
		}
		served := "null"
		if a := client.send("GET", "/v1/notifications/"+id, ""); a.status == http.StatusOK {
			served = a.text
		}
		wantJSON(t, id+" should be served", d.HTTP.Expected, right[id])
		wantJSON(t, id+" is served", d.HTTP.Served, served)
	}
	if len(found) != len(mailLies) {
		t.Errorf("%d rows are named, expected %d", len(found), len(mailLies))
	}
	halt(t, server)
	told(t, 0, nil, "replay", "--table=notification", "--yes", "--data="+dir)
	open(t, dir)
	wantOverHTTP(t, len(right), told(t, 0, []string{allEqual}, "verify", "--data="+dir))
}

// wantOverHTTP expects verify to have compared so many rows of e-mails with what HTTP serves.
func wantOverHTTP(t *testing.T, rows int, says string) {
	t.Helper()
	if !regexp.MustCompile(fmt.Sprintf("%s .* rows, %d over HTTP", processors.NotificationTable, rows)).MatchString(says) {
		t.Errorf("%d rows of e-mails are not compared: %s", rows, says)
	}
}

// forgeMails makes a view's copy of a row say what it should not. The disk is in order, and so is the changelog.
func forgeMails(t *testing.T, dir, id string) {
	t.Helper()
	db, err := leveldb.OpenFile(filepath.Join(dir, "views", processors.NotificationTable, fmt.Sprint(broker.Partition([]byte(id), 8))), nil)
	must(t, err)
	defer db.Close()
	key := []byte("\x01" + id)
	var head codecs.Head
	var state notification.State
	if row, err := db.Get(key, nil); err == nil {
		head, state, err = codecs.DecodeNotificationRow(row)
		must(t, err)
	}
	if mailLies[id].forge(&head, &state) {
		must(t, db.Put(key, codecs.EncodeNotificationRow(head, state), nil))
	} else {
		must(t, db.Delete(key, nil))
	}
}

// misserved is a difference in what HTTP serves.
type misserved struct {
	Table, Key, Problem string
	HTTP                struct{ Expected, Served json.RawMessage }
}

// misservedIn returns what verify finds, by the keys.
func misservedIn(t *testing.T, where ...string) map[string]misserved {
	t.Helper()
	var report struct{ Differences []misserved }
	if err := json.Unmarshal([]byte(told(t, 1, nil, append([]string{"verify", "--json"}, where...)...)), &report); err != nil {
		t.Fatal(err)
	}
	found := map[string]misserved{}
	for _, d := range report.Differences {
		found[d.Key] = d
	}
	return found
}

// wantJSON compares texts without their blanks; "" is null.
func wantJSON(t *testing.T, what string, got json.RawMessage, want string) {
	t.Helper()
	if want == "" {
		want = "null"
	}
	var a, b bytes.Buffer
	if json.Compact(&a, got) != nil || json.Compact(&b, []byte(want)) != nil || a.String() != b.String() {
		t.Errorf("%s: %s, expected %s", what, got, want)
	}
}

// TestMailsThatAreSentWhileTheyAreVerified: HTTP lists them as queued, and they are sent and recorded as sent before they are
// folded. Nor is it a difference if the list stays behind when that is committed.
func TestMailsThatAreSentWhileTheyAreVerified(t *testing.T) {
	t.Parallel()
	const orders = 20
	dir := t.TempDir()
	gate := make(chan struct{})
	relay := stockflowtest.NewRelay(t, func(int) error {
		<-gate
		return nil
	})
	server, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Mail: relayed(relay)})
	client.want("POST", lampPath+"/receipts", `{"quantity":1000}`, 200)
	for i := range orders {
		client.want("POST", "/v1/orders", mailed(fmt.Sprint("o-", i)), 201, `"confirmed"`)
	}
	all := func(status notification.Status) {
		for i := range orders {
			untilMail(t, server, fmt.Sprint("o-", i), notification.Confirmed, status)
		}
	}
	all(notification.StatusQueued)
	list := client.send("GET", "/v1/notifications?limit=200", "")
	if n := strings.Count(list.text, `"status":"queued"`); n != orders {
		t.Fatalf("%d of %d e-mails are queued", n, orders)
	}
	listed, sent := make(chan struct{}), make(chan struct{})
	var once sync.Once
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := client.try("GET", r.URL.RequestURI(), "")
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if r.URL.Path == "/v1/notifications" {
			once.Do(func() { close(listed) })
			<-sent
			a = list
		}
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.text))
	}))
	defer behind.Close()
	verified := make(chan struct{})
	go func() {
		defer close(verified)
		wantOverHTTP(t, orders, told(t, 0, []string{allEqual}, "verify", "--data="+dir, "--url="+behind.URL))
	}()
	select {
	case <-listed:
	case <-verified:
		t.Fatal("HTTP was not asked for the e-mails")
	}
	close(gate)
	all(notification.StatusSent)
	close(sent)
	<-verified
	told(t, 0, []string{allEqual}, "verify", "--data="+dir, "--url="+behind.URL)
}
