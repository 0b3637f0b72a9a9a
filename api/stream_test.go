package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"

	"stockflow/broker"
	"stockflow/machines/inventory"
	"stockflow/processors"
	"stockflow/stockflowtest/fake"
)

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

// Nobody reads, and what fits on the way is soon full. Whoever comes back may be too slow again, and comes back again.
func TestASlowReaderIsCutOffAndComesBack(t *testing.T) {
	g := newGallery(t, func(s *Server) { s.streams.timeout = 100 * time.Millisecond })
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
	read := func(e *ear) {
		for got < len(want) {
			ev, err := e.next()
			if err != nil {
				return
			}
			if ev.name() != want[got] {
				t.Fatalf("event %d is %s", got, ev.name())
			}
			got++
		}
	}
	if read(e); got == len(want) {
		t.Fatalf("all %d events came", got)
	}
	for deadline = time.Now().Add(hung); got < len(want); read(e) {
		if time.Now().After(deadline) {
			t.Fatalf("who comes back again and again has only %d of %d events", got, len(want))
		}
		e = g.ear("inventory", e.last)
	}
}

func TestAStopEndsStreamsAtOnce(t *testing.T) {
	g := newGallery(t, func(s *Server) { s.streams.timeout = time.Hour })
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
	if _, err := listens.next(); !errors.Is(err, io.EOF) {
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
	conn := broker.Connection{Brokers: fake.Open(t).Brokers()}
	g := newGalleryOn(t, conn, nil)
	id := g.ear("inventory", "").last
	g.write("lamp", known)
	g.write("lamp", known)
	client, err := conn.Client()
	must(t, err)
	defer client.Close()
	cut := kadm.Offsets{}
	cut.Add(kadm.Offset{Topic: processors.InventoryTable, Partition: broker.Partition([]byte("lamp"), galleryPartitions), At: 1})
	_, err = kadm.NewClient(client).DeleteRecords(t.Context(), cut)
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
	id := eventID(realm, 0, []int64{1, 2, 3})
	f.Add(id)
	f.Add(id[:9] + "\r\n" + id[9:])
	f.Add("")
	f.Fuzz(func(t *testing.T, id string) {
		if next, err := parseEventID(realm, 0, id); err == nil && eventID(realm, 0, next) != id {
			t.Errorf("%q is read as %v", id, next)
		}
	})
}
