package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/views"
)

// dam is a log that takes messages only once it is opened.
type dam struct {
	paper
	arrived chan struct{}
	open    chan struct{}
}

func newDam() *dam { return &dam{arrived: make(chan struct{}, 1_000), open: make(chan struct{})} }

func (d *dam) Emit(ctx context.Context, o engine.Output, h ...codecs.Header) (engine.Position, error) {
	d.arrived <- struct{}{}
	<-d.open
	return d.paper.Emit(ctx, o, h...)
}

// pressed returns a server with limits, in front of a log.
func pressed(t *testing.T, p Pressure, log Emitter) *desk {
	t.Helper()
	s, err := New(Config{
		Tables:   views.Open(broker.Connection{}, t.TempDir(), slog.New(slog.DiscardHandler)),
		Emitter:  log,
		Ready:    func() []string { return nil },
		System:   func(context.Context) System { return System{} },
		Registry: prometheus.NewRegistry(),
		Log:      slog.New(slog.DiscardHandler),
		Pressure: p, Hosts: []string{"example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &desk{Server: s}
}

// turnedAway is how many were, for a reason.
func (d *desk) turnedAway(reason string) int {
	return int(testutil.ToFloat64(d.gate.refused.WithLabelValues(reason)))
}

// wantTurnedAway expects an answer that says when to come again.
func wantTurnedAway(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	wantProblem(t, w, status, code)
	if again := w.Header().Get("Retry-After"); again == "" || again == "0" {
		t.Errorf("Retry-After is %q", again)
	}
}

// TestAFloodIsTurnedAwayAtOnce: those who are in are answered, those who are not are told so at once, and when it is
// over, everything is as before.
func TestAFloodIsTurnedAwayAtOnce(t *testing.T) {
	const places, flood = 3, 50
	log := newDam()
	d := pressed(t, Pressure{InFlight: places}, log)
	var inside sync.WaitGroup
	for range places {
		inside.Go(func() {
			if w := d.send("POST", "/v1/orders", goodOrder); w.Code != 202 {
				t.Errorf("who was in is answered with %d %s", w.Code, w.Body)
			}
		})
	}
	for range places {
		<-log.arrived
	}
	for range flood {
		wantTurnedAway(t, d.send("POST", "/v1/orders", goodOrder), 503, "busy")
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/v1/system"} {
		if w := d.send("GET", path, ""); w.Code != 200 {
			t.Errorf("under pressure %s is answered with %d", path, w.Code)
		}
	}
	broken := httptest.NewRecorder() // who needs no place isn't turned away for want of one
	d.http.Handler.ServeHTTP(broken, httptest.NewRequest("POST", "/v1/orders", io.MultiReader(strings.NewReader(goodOrder), iotest.ErrReader(io.ErrUnexpectedEOF))))
	wantProblem(t, broken, 400, "unreadable")
	close(log.open)
	inside.Wait()
	for range flood {
		if w := d.send("POST", "/v1/orders", goodOrder); w.Code != 202 {
			t.Fatalf("after the flood an order is answered with %d %s", w.Code, w.Body)
		}
	}
	if n, held := d.turnedAway("busy"), d.gate.held.Load(); n != flood || held != 0 {
		t.Errorf("%d were turned away, and %d bytes are held after it", n, held)
	}
}

// TestAPanicGivesItsPlaceBack, or a few bugs would shut the door for ever.
func TestAPanicGivesItsPlaceBack(t *testing.T) {
	d := pressed(t, Pressure{InFlight: 1}, nil) // a nil log panics
	for range 3 {
		wantProblem(t, d.send("POST", "/v1/orders", goodOrder), 500, "internal")
	}
}

// TestBodiesFillABoundedMemory: what doesn't fit is turned away, and what is answered makes place.
func TestBodiesFillABoundedMemory(t *testing.T) {
	log := newDam()
	d := pressed(t, Pressure{}, log)
	d.gate.maxHeld = int64(len(goodOrder)) + 10
	done := make(chan int)
	go func() { done <- d.send("POST", "/v1/orders", goodOrder).Code }()
	<-log.arrived
	wantTurnedAway(t, d.send("POST", "/v1/orders", goodOrder), 503, "busy")
	close(log.open)
	if code := <-done; code != 202 {
		t.Errorf("the first is answered with %d", code)
	}
	if w := d.send("POST", "/v1/orders", goodOrder); w.Code != 202 || d.turnedAway("memory") != 1 || d.gate.held.Load() != 0 {
		t.Errorf("the third is answered with %d, %d were turned away, %d bytes are held", w.Code, d.turnedAway("memory"), d.gate.held.Load())
	}
}

// TestStreamsHavePlacesOfTheirOwn: those who listen leave the places of those who order alone.
func TestStreamsHavePlacesOfTheirOwn(t *testing.T) {
	d := pressed(t, Pressure{InFlight: 1, Connections: 4}, nil)
	enter := func(path string) (leave func(), f *fault) {
		v, f := d.gate.enter(httptest.NewRequest("GET", path, nil))
		return v.leave, f
	}
	var leaves []func()
	for range 2 { // half of the connections
		leave, f := enter(streaming)
		if f != nil {
			t.Fatal(f)
		}
		leaves = append(leaves, leave)
	}
	if leave, f := enter(streaming); f == nil || f.code != "busy" {
		t.Errorf("a third stream is let in: %v", f)
	} else {
		leave()
	}
	if leave, f := enter("/v1/orders/o-1"); f != nil {
		t.Errorf("a reader is kept out by streams: %v", f)
	} else {
		leave()
	}
	leaves[0]()
	if _, f := enter(streaming); f != nil {
		t.Errorf("a stream that ended leaves no place: %v", f)
	}
}

func TestEachClientHasItsOwnRate(t *testing.T) {
	d := pressed(t, Pressure{Rate: 2}, &paper{})
	from := func(address, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		d.http.Handler.ServeHTTP(w, r)
		return w
	}
	d.gate.clients.rate = 0.001 // nothing comes back during this test, however slow it runs
	for i := range 5 {
		w := from(fmt.Sprintf("192.0.2.1:%d", 1_000+i), "/v1/orders/o-1")
		if i < 2 && w.Code == 429 {
			t.Errorf("request %d is answered with %d", i, w.Code)
		} else if i >= 2 {
			wantTurnedAway(t, w, 429, "rate_limited")
		}
	}
	if w := from("192.0.2.2:1000", "/v1/orders/o-1"); w.Code == 429 {
		t.Error("one client takes the place of another")
	}
	if w := from("192.0.2.1:1000", "/livez"); w.Code != 200 {
		t.Errorf("/livez is answered with %d", w.Code)
	}
	if n := d.turnedAway("rate"); n != 3 {
		t.Errorf("%d were turned away", n)
	}
}

func TestARateComesBackWithTime(t *testing.T) {
	c := newClients(4)
	now := time.Unix(1_000, 0)
	for i, step := range []struct{ after, want time.Duration }{
		{0, 0}, {0, 0}, {0, 0}, {0, 0}, // a second's worth at once
		{0, 250 * time.Millisecond},
		{0, 250 * time.Millisecond}, // who is sent away has not come
		{100 * time.Millisecond, 150 * time.Millisecond},
		{150 * time.Millisecond, 0},
		{time.Hour, 0}, {0, 0}, {0, 0}, {0, 0},
		{0, 250 * time.Millisecond},
	} {
		now = now.Add(step.after)
		if got := c.wait(netip.MustParseAddr("192.0.2.1"), now); got.Round(time.Millisecond) != step.want {
			t.Errorf("step %d waits %v, expected %v", i, got, step.want)
		}
	}
}

// TestClientsAreToldApartByWhatTheyCanNotChoose: not by port, and not by the half of an IPv6 address that is theirs.
func TestClientsAreToldApartByWhatTheyCanNotChoose(t *testing.T) {
	at := func(remote string) netip.Prefix {
		return clientAt(proxies(nil).clientOf(&http.Request{RemoteAddr: remote}))
	}
	same := func(a, b string) bool { return at(a) == at(b) }
	if !same("192.0.2.1:1", "192.0.2.1:2") || same("192.0.2.1:1", "192.0.2.2:1") || !same("[::ffff:192.0.2.1]:1", "192.0.2.1:1") {
		t.Error("IPv4 addresses are not told apart as they should be")
	}
	if !same("[2001:db8::1]:1", "[2001:db8::2]:1") || same("[2001:db8::1]:1", "[2001:db8:0:1::1]:1") || !same("[fe80::1%a]:1", "[fe80::1%b]:1") {
		t.Error("IPv6 addresses are not told apart as they should be")
	}
	if !same("@", "") {
		t.Error("what has no address is more than one client")
	}
}

// TestClientsAreRememberedInABoundedMemory: and who comes all the time is not forgotten among those who come once.
func TestClientsAreRememberedInABoundedMemory(t *testing.T) {
	c := newClients(1)
	now := time.Unix(1_000, 0)
	c.wait(netip.MustParseAddr("192.0.2.1"), now)
	for i := range 5 * mostClients {
		if wait := c.wait(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now); wait != 0 {
			t.Fatalf("client %d waits %v", i, wait)
		}
		if i%1_000 == 0 && c.wait(netip.MustParseAddr("192.0.2.1"), now) == 0 {
			t.Fatalf("after %d others the first client begins anew", i)
		}
	}
	if n := len(c.recent) + len(c.older); n > 2*mostClients {
		t.Errorf("%d clients are remembered", n)
	}
}

// listening serves d on a port of the system's choice, until the test ends.
func (d *desk) listening(t *testing.T) (address string, client *http.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.Serve(l) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = d.http.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), &http.Client{Transport: transport, Timeout: time.Minute}
}

// slow opens connections that send a beginning and nothing more.
func slow(t *testing.T, n int, address, beginning string) []net.Conn {
	t.Helper()
	var conns []net.Conn
	for range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, beginning); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	return conns
}

// TestSlowClientsDoNotDisturbAGoodOne, be it that they trickle their headers or their bodies, and be there place for
// all of them or not.
func TestSlowClientsDoNotDisturbAGoodOne(t *testing.T) {
	const many = 500
	headers := "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nX-A"
	body := "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
	for _, c := range []struct {
		name, beginning string
		connections     int
	}{
		{"headers", headers, 2_048}, {"headers, and no place", headers, 50}, {"bodies", body, 2_048}, {"bodies, and no place", body, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := pressed(t, Pressure{InFlight: 4, Connections: c.connections}, &paper{})
			address, client := d.listening(t)
			good := func() {
				got, err := client.Post("http://"+address+"/v1/orders", "application/json", strings.NewReader(goodOrder))
				if err != nil {
					t.Fatal("the good client is not answered: ", err)
				}
				defer got.Body.Close()
				if _, err := io.Copy(io.Discard, got.Body); err != nil || got.StatusCode != 202 {
					t.Fatalf("the good client is answered with %d %v", got.StatusCode, err)
				}
			}
			slow(t, many, address, c.beginning)
			open := func() int {
				d.gate.connections.mu.Lock()
				defer d.gate.connections.mu.Unlock()
				return len(d.gate.connections.all)
			}
			for settled := false; !settled; settled = open()+d.turnedAway("connections") >= many {
				good()
			}
			for range 20 {
				client.CloseIdleConnections() // each comes in by the front door
				good()
			}
			if n := open(); n > c.connections {
				t.Errorf("%d connections are open", n)
			}
			if n := d.turnedAway("connections"); n > 0 != (c.connections < many) {
				t.Errorf("%d connections had to give way", n)
			}
			if n := d.turnedAway("busy"); n != 0 {
				t.Errorf("%d requests were turned away", n)
			}
		})
	}
}

// TestWorkIsNotInterruptedByNewcomers: when all that are open work, it is the newcomer who has to go.
func TestWorkIsNotInterruptedByNewcomers(t *testing.T) {
	log := newDam()
	d := pressed(t, Pressure{Connections: 1}, log)
	address, client := d.listening(t)
	done := make(chan error, 1)
	go func() {
		got, err := client.Post("http://"+address+"/v1/orders", "application/json", strings.NewReader(goodOrder))
		if err == nil {
			_ = got.Body.Close()
		}
		done <- err
	}()
	<-log.arrived
	for _, c := range slow(t, 5, address, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n") {
		if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			t.Errorf("a newcomer is answered with %q", line)
		}
	}
	close(log.open)
	if err := <-done; err != nil {
		t.Errorf("who was in is not answered: %v", err)
	}
}

func TestLimitsThatMakeNoSenseAreRefusedByName(t *testing.T) {
	err := Pressure{InFlight: -1, Connections: -2, Rate: -0.5}.Check()
	want := "--max-in-flight: must be 0 or more, is -1\n--max-connections: must be 0 or more, is -2\n--rate-limit: must be 0 or more, is -0.5"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := (Pressure{}).Check(); err != nil {
		t.Error(err)
	}
}
