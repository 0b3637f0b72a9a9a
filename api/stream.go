package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/codecs"
	"stockflow/views"
)

// Row changes as server-sent events. Each event has an id that says where its reader is in the table's changelog, in
// all partitions of it, so whoever comes back with its last id goes on there: nothing is missing and nothing comes
// twice, however long it was away, and whichever process it comes back to.

// eventTables are the tables whose changes are told. An id has the place of its table in this list, which only grows.
var eventTables = []string{"orders", "inventory", "shipments", "notifications"}

// tolds returns the changes of each table, by its place in eventTables.
func (s *Server) tolds() []*views.Changes {
	return []*views.Changes{
		told(s.orders, "orders"), told(s.stocks, "inventory"), told(s.parcels, "shipments"), told(s.mails, "notifications"),
	}
}

// changed is the data of an event.
type changed struct {
	Table string `json:"table"`
	Key   string `json:"key"`
	Row   any    `json:"row"` // as the GET by key shows it
}

// told returns the changes of a table, as clients see them.
func told[S any](sh resource[S], name string) *views.Changes {
	return sh.table.Changes(func(key string, row views.Row[S]) []byte {
		if !sh.known(row.State) {
			return nil
		}
		text, err := json.Marshal(changed{name, key, sh.show(key, row.Head, row.State)})
		if err != nil { // only strings, numbers and lists are ever written
			panic(err)
		}
		return text
	})
}

// How streams are kept alive, and how long one write to a reader may take.
const (
	heartbeatTime = 15 * time.Second
	eventTime     = 10 * time.Second
	comeBackAfter = "1000" // ms
)

// streams is what all streams of events have in common.
type streams struct {
	tables    []*views.Changes // as eventTables
	heartbeat time.Duration
	timeout   time.Duration // for one write
	open      prometheus.Gauge
	cut       prometheus.Counter
}

func newStreams(tables []*views.Changes, registry prometheus.Registerer) (streams, error) {
	st := streams{
		tables: tables, heartbeat: heartbeatTime, timeout: eventTime,
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stockflow_event_streams", Help: "Streams of row changes that are open.",
		}),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stockflow_event_streams_cut_total", Help: "Streams of row changes that were ended because their readers were too slow.",
		}),
	}
	for _, c := range []prometheus.Collector{st.open, st.cut} {
		if err := registry.Register(c); err != nil {
			return st, fmt.Errorf("registering the metrics of event streams: %w", err)
		}
	}
	return st, nil
}

const lastEventHeader = "Last-Event-ID"

// subscription is what a client wants to be told of.
type subscription struct {
	table int     // its place in eventTables
	after []int64 // the next offset of each partition; nil for what comes from now on
}

// readEvents reads the request for a stream.
func (s *Server) readEvents(r *http.Request) (subscription, error) {
	table, tableErr := eventTable(r.URL.Query())
	sub := subscription{table: table}
	given := r.Header.Values(lastEventHeader)
	var idErr error
	switch {
	case len(given) > 1:
		idErr = codecs.Invalid{{Field: lastEventHeader, Problem: "is given twice"}}
	case len(given) == 1 && given[0] != "" && tableErr == nil: // a browser that has no id yet may send an empty one
		if _, err := parseEventID(s.former, table, given[0]); err == nil {
			return sub, expiredEvents(nil)
		}
		sub.after, idErr = parseEventID(s.realm, table, given[0])
	}
	return sub, merge(nil, tableErr, idErr)
}

func eventTable(q url.Values) (int, error) {
	if len(q["table"]) > 1 {
		return 0, codecs.Invalid{{Field: "table", Problem: "must not be given twice"}}
	}
	table := slices.Index(eventTables, q.Get("table"))
	if table < 0 {
		return 0, codecs.Invalid{{Field: "table", Problem: fmt.Sprintf("must be one of %q", eventTables)}}
	}
	return table, nil
}

// eventMark begins an id, so that a token is none.
const eventMark = 'e'

// eventID writes down where a reader of a table is.
func eventID(realm []byte, table int, next []int64) string {
	b := []byte{eventMark, byte(table)}
	for _, offset := range next {
		b = binary.AppendUvarint(b, uint64(offset))
	}
	return seal(realm, b)
}

// parseEventID reads an id that was given out here for that table.
func parseEventID(realm []byte, table int, id string) ([]int64, error) {
	foreign := codecs.Invalid{{Field: lastEventHeader, Problem: "is not an id that was given out here"}}
	b, ok := unseal(realm, id)
	switch {
	case !ok, len(b) < 2, b[0] != eventMark:
		return nil, foreign
	case int(b[1]) != table:
		return nil, codecs.Invalid{{Field: lastEventHeader, Problem: "is an id of another table"}}
	}
	next := []int64{}
	for b = b[2:]; len(b) > 0; {
		offset, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, foreign
		}
		next, b = append(next, int64(offset)), b[n:]
	}
	return next, nil
}

// events opens a stream. What is wrong is told before anything is written; after that a stream can only end.
func (s *Server) events(ctx context.Context, sub subscription) (reply, error) {
	reader, err := s.streams.tables[sub.table].Open(ctx, sub.after)
	switch {
	case errors.Is(err, views.ErrGone):
		return reply{}, expiredEvents(err)
	case err != nil:
		return reply{}, lost(ctx, err)
	}
	return reply{status: http.StatusOK, body: &stream{Server: s, table: sub.table, reader: reader, next: reader.Position()}}, nil
}

// expiredEvents is the fault of an id after which the changelog can't be read on.
func expiredEvents(cause error) *fault {
	return &fault{code: "events_expired", cause: cause,
		detail: "The changelog does not have what follows this id. Read the rows, and begin without Last-Event-ID."}
}

// lost tells a table that can't be read from a broker that can't be asked.
func lost(ctx context.Context, err error) error {
	if errors.As(err, new(*views.ErrRecovering)) || ctx.Err() != nil {
		return err
	}
	return &fault{code: "log_unreachable", cause: err, header: later, detail: "Try again later."}
}

// stream is an answer that goes on until its reader leaves, is too slow, or the server stops.
type stream struct {
	*Server
	table  int
	reader *views.Reader
	next   []int64 // the position behind the last event
	w      http.ResponseWriter
	conn   *http.ResponseController
	page   bytes.Buffer // what is written next
}

// serve answers r, and closes the reader.
func (st *stream) serve(w http.ResponseWriter, r *http.Request) {
	defer st.reader.Close()
	st.w, st.conn = w, http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	st.streams.open.Inc()
	defer st.streams.open.Dec()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(st.stopping, func() {
		cancel()
		_ = st.conn.SetWriteDeadline(time.Now().Add(time.Second)) // a reader that doesn't read must not hold up the stop
	})()
	// The server's times are for requests that end. Where a connection has none to set, there is nothing to outlive.
	_ = st.conn.SetReadDeadline(time.Time{})
	err := st.run(ctx)
	slow := errors.Is(err, views.ErrBehind) || errors.Is(err, os.ErrDeadlineExceeded) && st.stopping.Err() == nil
	if slow { // net/http has ended ctx too when a write failed
		st.streams.cut.Inc()
	} else if ctx.Err() == nil {
		st.log.Debug("a stream of events ended", "table", eventTables[st.table], "error", err)
	}
}

// run writes events until something ends it, which is its error. It begins with an id, so that a reader which loses the connection before
// the first event misses none.
func (st *stream) run(ctx context.Context) error {
	fmt.Fprintf(&st.page, "retry: %s\nid: %s\n\n", comeBackAfter, st.id())
	for {
		if err := st.flush(); err != nil {
			return err
		}
		changes, err := st.await(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			st.page.WriteString(": still here\n\n")
		case err != nil:
			return err
		}
		for _, c := range changes {
			st.add(c)
			if st.page.Len() < mostPage {
				continue
			}
			if err := st.flush(); err != nil {
				return err
			}
		}
	}
}

// mostPage is how many bytes are collected before they are written.
const mostPage = 64 << 10

// await waits for changes, until it is time for a heartbeat.
func (st *stream) await(ctx context.Context) ([]*views.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, st.streams.heartbeat)
	defer cancel()
	return st.reader.Next(ctx)
}

// add puts a change on the page.
func (st *stream) add(c *views.Change) {
	st.next[c.Partition] = c.Offset + 1
	if text := c.Text(); text != nil { // it is JSON, which has no line breaks
		fmt.Fprintf(&st.page, "event: row\nid: %s\ndata: %s\n\n", st.id(), text)
	}
}

func (st *stream) id() string { return eventID(st.realm, st.table, st.next) }

// flush writes what is on the page. The error is that of a reader that has gone or doesn't read.
func (st *stream) flush() error {
	_ = st.conn.SetWriteDeadline(time.Now().Add(st.streams.timeout))
	_, err := st.page.WriteTo(st.w)
	st.page.Reset()
	if err != nil {
		return err
	}
	return st.conn.Flush()
}
