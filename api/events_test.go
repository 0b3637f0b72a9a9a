package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/processors/inventory"
)

// gallery is a server whose tables follow an embedded broker. The test writes their rows.
type gallery struct {
	*desk
	t        *testing.T
	url      string
	producer *kgo.Client
	version  int64
}

// hung is after how long something that is waited for doesn't come any more.
const hung = 30 * time.Second

func newGallery(t *testing.T, change func(*Server)) *gallery {
	t.Helper()
	t.Parallel()
	b, err := broker.OpenEmbedded(t.TempDir(), broker.Unsynced(), broker.Logger(slog.New(slog.DiscardHandler)))
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	var topics []broker.Topic
	for _, name := range []string{processors.OrderTable, processors.InventoryTable, processors.ShipmentTable, processors.NotificationTable} {
		topics = append(topics, broker.Topic{Name: name, Kind: broker.Table})
	}
	_, _, err = broker.Ensure(t.Context(), b.Connection(), topics, 3)
	must(t, err)
	g := &gallery{desk: newDeskOn(t, b.Connection()), t: t}
	if change != nil {
		change(g.Server)
	}
	g.producer, err = b.Connection().Client(kgo.DefaultProduceTopic(processors.InventoryTable))
	must(t, err)
	t.Cleanup(g.producer.Close)
	g.follow()
	g.listen()
	return g
}

// follow runs the tables until the end of the test, and returns when they can be read.
func (g *gallery) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.tables.Run(ctx) }()
	g.t.Cleanup(func() { cancel(); must(g.t, <-ended) })
	waiting, stop := context.WithTimeout(g.t.Context(), hung)
	defer stop()
	must(g.t, g.tables.WaitRecovered(waiting))
}

// listen serves HTTP until the end of the test.
func (g *gallery) listen() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(g.t, err)
	g.url = "http://" + l.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(l) }()
	g.t.Cleanup(func() { must(g.t, g.Shutdown(context.Background())); must(g.t, <-ended) })
}

// write puts a row into the inventory's changelog, with as many locations as make it large, and returns its version.
func (g *gallery) write(sku string, s inventory.State) int64 {
	g.t.Helper()
	g.version++
	row := codecs.EncodeInventoryRow(codecs.Head{Applied: g.version}, s)
	must(g.t, g.producer.ProduceSync(g.t.Context(), &kgo.Record{Key: []byte(sku), Value: row}).FirstErr())
	return g.version
}

var known = inventory.State{Known: true, Locations: []inventory.Stock{{Location: "main", OnHand: 5, Reserved: 2}}}

// large is a row of some 100 kB.
func large() inventory.State {
	s := inventory.State{Known: true}
	for i := range 1000 {
		s.Locations = append(s.Locations, inventory.Stock{Location: fmt.Sprintf("%04d-%s", i, strings.Repeat("x", 50)), OnHand: 1})
	}
	return s
}

// ear is a client that listens to a stream.
type ear struct {
	t     *testing.T
	lines *bufio.Reader
	body  io.Closer
	last  string // the id of the last event, or of the beginning
}

func (g *gallery) ear(table, lastID string) *ear {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), "GET", g.url+"/v1/events?table="+table, nil)
	must(g.t, err)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	transport := &http.Transport{}
	a, err := transport.RoundTrip(r)
	must(g.t, err)
	g.t.Cleanup(func() { _ = a.Body.Close(); transport.CloseIdleConnections() })
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(a.Body)
		g.t.Fatalf("the answer is %d %v %s", a.StatusCode, a.Header, text)
	}
	e := &ear{t: g.t, lines: bufio.NewReader(a.Body), body: a.Body}
	if first, err := e.block(); err != nil || first["retry"] == "" || e.last == "" {
		g.t.Fatalf("the stream begins with %v, %v", first, err)
	}
	return e
}

// block reads up to the next empty line; a comment has no name. The last id counts when its block is whole.
func (e *ear) block() (map[string]string, error) {
	fields := map[string]string{}
	for {
		line, err := e.lines.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line == "\n" {
			break
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		fields[name] = strings.TrimPrefix(value, " ")
	}
	if id, ok := fields["id"]; ok {
		e.last = id
	}
	return fields, nil
}

// event is an event as it came.
type event struct {
	Table string          `json:"table"`
	Key   string          `json:"key"`
	Row   json.RawMessage `json:"row"`
}

// name is key@version.
func (ev event) name() string {
	var row struct{ Version int64 }
	_ = json.Unmarshal(ev.Row, &row)
	return fmt.Sprintf("%s@%d", ev.Key, row.Version)
}

// next returns the next event, over comments.
func (e *ear) next() (event, error) {
	for {
		b, err := e.block()
		if err != nil {
			return event{}, err
		}
		if b["event"] == "row" {
			var ev event
			return ev, json.Unmarshal([]byte(b["data"]), &ev)
		}
	}
}

// want expects the next events, by their names.
func (e *ear) want(names ...string) (last event) {
	e.t.Helper()
	for _, name := range names {
		var err error
		if last, err = e.next(); err != nil || last.name() != name {
			e.t.Fatalf("the next event is %s, %v, expected %s", last.name(), err, name)
		}
	}
	return last
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAStreamShowsRowsAsTheirGETDoes(t *testing.T) {
	g := newGallery(t, nil)
	g.write("lamp", known)
	e, other := g.ear("inventory", ""), g.ear("orders", "")
	g.write("desk", inventory.State{}) // nothing was received of it: its GET is 404
	g.write("lamp", known)
	g.write("BANK CHARGES", known)
	g.write("lamp", known)
	var last event
	seen := map[string]event{}
	for range 3 { // of different keys the order may be any
		last, _ = e.next()
		seen[last.name()] = last
	}
	got := seen["lamp@5"]
	if len(seen) != 3 || seen["lamp@3"].Key == "" || seen["BANK CHARGES@4"].Key == "" || got.Table != "inventory" {
		t.Errorf("the events are %v", seen)
	}
	if get := g.send("GET", "/v1/inventory/lamp", "").Body.String(); string(got.Row)+"\n" != get {
		t.Errorf("the event has %s, the GET %s", got.Row, get)
	}
	if n := testutil.ToFloat64(g.streams.open); n != 2 {
		t.Errorf("%v streams are counted", n)
	}
	_ = other.body.Close()
}

func TestAStreamGoesOnAfterABreak(t *testing.T) {
	g := newGallery(t, nil)
	e := g.ear("inventory", "")
	before := e.last
	g.write("lamp", known)
	e.want("lamp@1")
	g.write("lamp", known)
	must(t, e.body.Close())
	g.write("lamp", known)
	again := g.ear("inventory", e.last)
	g.write("lamp", known)
	again.want("lamp@2", "lamp@3", "lamp@4")
	g.ear("inventory", before).want("lamp@1", "lamp@2", "lamp@3", "lamp@4")
}

func TestEveryOneOfManyReadersIsToldEverything(t *testing.T) {
	g := newGallery(t, nil)
	ears := make([]*ear, 60)
	for i := range ears {
		ears[i] = g.ear("inventory", "")
	}
	var names []string
	var all sync.WaitGroup
	for i := range 50 {
		names = append(names, fmt.Sprint("lamp@", i+1))
	}
	for _, e := range ears {
		all.Go(func() {
			for _, name := range names {
				if ev, err := e.next(); err != nil || ev.name() != name {
					t.Errorf("a reader was told %s, %v, expected %s", ev.name(), err, name)
					return
				}
			}
		})
	}
	for range names {
		g.write("lamp", known)
	}
	all.Wait()
}

// The server's times for requests are shorter here than a stream of a few heartbeats.
func TestAQuietStreamIsKeptAliveBeyondTheTimesOfRequests(t *testing.T) {
	g := newGallery(t, func(s *Server) {
		s.streams.heartbeat = 30 * time.Millisecond
		s.http.ReadTimeout, s.http.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	})
	e := g.ear("inventory", "")
	for range 10 {
		if b, err := e.block(); err != nil || b[""] != "still here" {
			t.Fatalf("instead of a heartbeat came %v, %v", b, err)
		}
	}
	g.write("lamp", known)
	e.want("lamp@1")
}

// Nobody reads, and what fits on the way is soon full.
func TestASlowReaderIsCutOffAndComesBack(t *testing.T) {
	g := newGallery(t, func(s *Server) { s.streams.patience = 100 * time.Millisecond })
	e := g.ear("inventory", "")
	deadline := time.Now().Add(hung)
	var want []string
	for testutil.ToFloat64(g.streams.cut) == 0 {
		want = append(want, fmt.Sprint("lamp@", g.write("lamp", large())))
		if time.Now().After(deadline) {
			t.Fatalf("after %d rows of 100 kB nobody was cut off", len(want))
		}
	}
	got := 0
	for ev, err := e.next(); err == nil; ev, err = e.next() {
		if ev.name() != want[got] {
			t.Fatalf("event %d is %s", got, ev.name())
		}
		got++
	}
	if got >= len(want) {
		t.Fatalf("all %d events came", got)
	}
	g.ear("inventory", e.last).want(want[got:]...)
}

func TestAStopEndsStreamsAtOnce(t *testing.T) {
	g := newGallery(t, func(s *Server) { s.streams.patience = time.Hour })
	listens, deaf := g.ear("inventory", ""), g.ear("inventory", "")
	for range 100 { // more than fits on the way to one that doesn't read
		g.write("lamp", large())
	}
	for i := range 100 {
		listens.want(fmt.Sprint("lamp@", i+1))
	}
	ctx, cancel := context.WithTimeout(t.Context(), hung)
	defer cancel()
	must(t, g.Shutdown(ctx))
	if _, err := listens.next(); err != io.EOF {
		t.Errorf("the stream of who listens ends with %v", err)
	}
	_ = deaf.body.Close()
	if n := testutil.ToFloat64(g.streams.open); n != 0 {
		t.Errorf("%v streams are still counted", n)
	}
}

func TestRequestsForStreamsThatCanNotBeServed(t *testing.T) {
	g := newGallery(t, nil)
	good := g.ear("inventory", "").last
	token := token{log: processors.OrderEvents, key: "o-1"}.stamp(g.realm)
	foreign := eventID([]byte("another realm"), 1, []int64{0, 0, 0})
	for _, c := range []struct {
		query  string
		ids    []string
		status int
		code   string
		field  string
	}{
		{"", nil, 400, "invalid", "table"},
		{"?table=", nil, 400, "invalid", "table"},
		{"?table=letters", nil, 400, "invalid", "table"},
		{"?table=orders&table=inventory", nil, 400, "invalid", "table"},
		{"?table=inventory", []string{"x"}, 400, "invalid", lastEventHeader},
		{"?table=inventory", []string{good[1:]}, 400, "invalid", lastEventHeader},
		{"?table=inventory", []string{token}, 400, "invalid", lastEventHeader},
		{"?table=inventory", []string{foreign}, 400, "invalid", lastEventHeader},
		{"?table=inventory", []string{good, good}, 400, "invalid", lastEventHeader},
		{"?table=orders", []string{good}, 400, "invalid", lastEventHeader},
		{"?table=inventory", []string{eventID(g.realm, 1, []int64{0, 9, 0})}, 410, "events_expired", ""},
		{"?table=inventory", []string{eventID(g.realm, 1, []int64{0, 0})}, 410, "events_expired", ""},
	} {
		var headers []string
		for _, id := range c.ids {
			headers = append(headers, "Last-Event-ID: "+id)
		}
		p := wantProblem(t, g.send("GET", "/v1/events"+c.query, "", headers...), c.status, c.code)
		if c.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != c.field) {
			t.Errorf("%s with %q names %v, expected %s", c.query, c.ids, p.Errors, c.field)
		}
	}
	wantProblem(t, g.send("POST", "/v1/events?table=orders", ""), 405, "method_not_allowed")
	if w := g.send("HEAD", "/v1/events?table=orders", ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD is answered with %d %q", w.Code, w.Body)
	}
	wantProblem(t, newDesk(t).send("GET", "/v1/events?table=orders", ""), 503, "recovering")
}

func TestAnIDWhoseChangesHaveExpiredIsGone(t *testing.T) {
	g := newGallery(t, nil)
	id := g.ear("inventory", "").last
	g.write("lamp", known)
	g.write("lamp", known)
	cut := kadm.Offsets{}
	cut.Add(kadm.Offset{Topic: processors.InventoryTable, Partition: broker.Partition([]byte("lamp"), 3), At: 1})
	_, err := kadm.NewClient(g.producer).DeleteRecords(t.Context(), cut)
	must(t, err)
	wantProblem(t, g.send("GET", "/v1/events?table=inventory", "", "Last-Event-ID: "+id), 410, "events_expired")
}

func TestAnEventIDIsTakenOnlyAsItWasGiven(t *testing.T) {
	realm := []byte("realm")
	next := []int64{0, 1, 127, 128, 1 << 40}
	id := eventID(realm, 2, next)
	if got, err := parseEventID(realm, 2, id); err != nil || !slices.Equal(got, next) {
		t.Fatalf("%s is read as %v, %v", id, got, err)
	}
	for i := range id {
		for _, c := range []string{"", "A", "-", "="} {
			bad := id[:i] + c + id[i+1:]
			if got, err := parseEventID(realm, 2, bad); err == nil && bad != id {
				t.Errorf("%s is read as %v", bad, got)
			}
		}
	}
}

// FuzzEventID: whatever a client sends, an id is refused or is one that was given out.
func FuzzEventID(f *testing.F) {
	realm := []byte("realm")
	f.Add(eventID(realm, 0, []int64{1, 2, 3}))
	f.Add("")
	f.Fuzz(func(t *testing.T, id string) {
		if next, err := parseEventID(realm, 0, id); err == nil && eventID(realm, 0, next) != id {
			t.Errorf("%q is read as %v", id, next)
		}
	})
}
