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
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal"
	"stockflow/machines/inventory"
	"stockflow/processors"
)

// gallery is a server whose tables follow a broker. The test writes their rows.
type gallery struct {
	*desk
	t       *testing.T
	url     string
	writer  broker.Writer
	version int64
}

// hung is after how long something that is waited for doesn't come any more.
const hung = time.Minute

const galleryPartitions = 3

func newGallery(t *testing.T, change func(*Server)) *gallery {
	t.Helper()
	j, err := journal.Open(t.TempDir(), journal.Options{Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, j.Close()) })
	return newGalleryOn(t, broker.NewLocal(j), change)
}

func newGalleryOn(t *testing.T, b broker.Broker, change func(*Server)) *gallery {
	t.Helper()
	t.Parallel()
	var topics []broker.Topic
	for _, name := range []string{processors.OrderTable, processors.InventoryTable, processors.ShipmentTable, processors.NotificationTable} {
		topics = append(topics, broker.Topic{Name: name, Kind: broker.Table})
	}
	_, _, err := b.Ensure(t.Context(), topics, galleryPartitions)
	must(t, err)
	g := &gallery{desk: newDeskOn(t, b), t: t}
	if change != nil {
		change(g.Server)
	}
	g.writer, err = b.Writer()
	must(t, err)
	t.Cleanup(g.writer.Close)
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

// write puts a row into the inventory's changelog, and returns its version.
func (g *gallery) write(sku string, s inventory.State) int64 {
	g.t.Helper()
	g.version++
	g.put(processors.InventoryTable, sku, codecs.EncodeInventoryRow(codecs.Head{Applied: g.version}, s))
	return g.version
}

// put puts a row into a changelog.
func (g *gallery) put(table, key string, row []byte) {
	g.t.Helper()
	must(g.t, g.writer.Write(g.t.Context(), &kgo.Record{
		Topic: table, Partition: broker.Partition([]byte(key), galleryPartitions), Key: []byte(key), Value: row,
	}))
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
	alarm *time.Timer // ends the stream when nothing comes
	last  string      // the id of the last event, or of the beginning
}

// errDeaf is what reading a stream comes to on which nothing comes any more.
var errDeaf = fmt.Errorf("nothing has come for %s", hung)

func (g *gallery) ear(table, lastID string) *ear {
	g.t.Helper()
	ctx, cut := context.WithCancelCause(g.t.Context())
	alarm := time.AfterFunc(hung, func() { cut(errDeaf) })
	r, err := http.NewRequestWithContext(ctx, "GET", g.url+"/v1/events?table="+table, nil)
	must(g.t, err)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	transport := &http.Transport{}
	a, err := transport.RoundTrip(r)
	must(g.t, err)
	g.t.Cleanup(func() { _ = a.Body.Close(); transport.CloseIdleConnections(); alarm.Stop(); cut(nil) })
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(a.Body)
		g.t.Fatalf("the answer is %d %v %s", a.StatusCode, a.Header, text)
	}
	e := &ear{t: g.t, lines: bufio.NewReader(a.Body), body: a.Body, alarm: alarm}
	if first, err := e.block(); err != nil || first["retry"] == "" || e.last == "" {
		g.t.Fatalf("the stream begins with %v, %v", first, err)
	}
	return e
}

// block reads up to the next empty line; a comment has no name. The last id counts when its block is whole.
func (e *ear) block() (map[string]string, error) {
	e.alarm.Reset(hung)
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
