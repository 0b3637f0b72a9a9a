package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/order"
	"stockflow/replay/history"
	"stockflow/views"
)

// paper is a log that takes everything, or fails as it is told.
type paper struct {
	mu      sync.Mutex
	written []engine.Output
	err     error
}

func (p *paper) Emit(_ context.Context, o engine.Output, _ ...codecs.Header) (engine.Position, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return engine.Position{}, p.err
	}
	p.written = append(p.written, o)
	return engine.Position{Offset: int64(len(p.written))}, nil
}

// desk is a server without a broker: its tables are never read.
type desk struct {
	*Server
	log   *paper
	waits []string // what readyz says; "panic" makes it panic
	said  *bytes.Buffer
}

func newDesk(t *testing.T) *desk { return newDeskOn(t, broker.Connection{}) }

func newDeskOn(t *testing.T, conn broker.Broker) *desk {
	t.Helper()
	d := &desk{log: &paper{}, said: &bytes.Buffer{}}
	logger := slog.New(slog.NewTextHandler(d.said, nil))
	s, err := New(Config{
		DeploymentID: []byte("realm"),
		Tables:       views.Open(conn, t.TempDir(), slog.New(slog.DiscardHandler)),
		History:      history.Open(conn, t.TempDir(), 1, slog.New(slog.DiscardHandler)),
		Emitter:      d.log,
		System:       func(context.Context) System { return System{} },
		Ready:        d.ready,
		Registry:     prometheus.NewRegistry(),
		Log:          logger, Hosts: []string{"example.com"}, // as httptest asks
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Server = s
	return d
}

func (d *desk) ready() []string {
	if slices.Contains(d.waits, "panic") {
		panic("a bug")
	}
	return d.waits
}

// send sends a request; headers are "Name: value".
func (d *desk) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	d.http.Handler.ServeHTTP(w, r)
	return w
}

// wantProblem fails the test unless the answer is a problem with that status and code, and returns it.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("the answer %d %q is no JSON: %v", w.Code, w.Body, err)
	}
	if w.Code != status || p.Status != status || p.Code != code || p.Title == "" ||
		p.Type != "urn:stockflow:problem:"+code || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("the answer is %d %s %+v, expected %d %s", w.Code, w.Header(), p, status, code)
	}
	return p
}

const goodOrder = `{"lines":[{"sku":"lamp","quantity":2}]}`

func TestRequestsThatCanNotBeServedAreProblems(t *testing.T) {
	d := newDesk(t)
	long := strings.Repeat("x", maxHeaders)
	for _, c := range []struct {
		method, path, body, header string
		status                     int
		code                       string
	}{
		{"GET", "/", "", "", 404, "not_found"},
		{"GET", "/v1/orders/", "", "", 404, "not_found"},
		{"GET", "/v1/orders/a/b", "", "", 404, "not_found"},
		{"DELETE", "/v1/orders/o-1", "", "", 405, "method_not_allowed"},
		{"BREW", "/v1/orders", "", "", 405, "method_not_allowed"},
		{"POST", "/metrics", "", "", 405, "method_not_allowed"},
		{"POST", "/v1/orders", goodOrder + strings.Repeat(" ", maxBody), "", 413, "body_too_large"},
		{"POST", "/v1/orders", goodOrder, "Content-Type: text/plain", 415, "not_json"},
		{"POST", "/v1/orders", goodOrder, "Content-Type: application/json; charset=latin1", 415, "not_json"},
		{"POST", "/v1/orders", "lines=1", "Content-Type: application/x-www-form-urlencoded", 415, "not_json"},
		{"POST", "/v1/orders", goodOrder, "Content-Encoding: gzip", 415, "not_json"},
		{"GET", "/livez", "", "X: " + long, 431, "headers_too_large"},
		{"POST", "/v1/orders", "{", "", 400, "bad_json"},
		{"POST", "/v1/orders", "{}", "", 400, "invalid"},
		{"POST", "/v1/orders", goodOrder, "Idempotency-Key: ", 400, "invalid"},
		{"GET", "/v1/orders/a%2Fb", "", "", 400, "invalid"},
		{"GET", "/v1/inventory/" + strings.Repeat("x", 65), "", "", 400, "invalid"},
		{"GET", "/v1/orders/..", "", "", 503, "recovering"},
		{"GET", "/v1/inventory/BANK%20CHARGES", "", "", 503, "recovering"},
		{"GET", "/v1/shipments/o-1", "", "", 503, "recovering"},
	} {
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		t.Run(c.method+" "+c.path[:min(30, len(c.path))]+" "+c.code, func(t *testing.T) {
			wantProblem(t, d.send(c.method, c.path, c.body, headers...), c.status, c.code)
		})
	}
	if n := len(d.log.written); n != 0 {
		t.Errorf("%d messages were written by requests that were refused", n)
	}
}

func TestMethodsThatAPathTakesAreNamed(t *testing.T) {
	d := newDesk(t)
	for path, want := range map[string]string{"/v1/orders": "GET, HEAD, POST", "/v1/orders/o-1": "GET, HEAD", "/metrics": "GET, HEAD"} {
		if got := d.send("PUT", path, "").Header().Get("Allow"); got != want {
			t.Errorf("%s allows %q, expected %q", path, got, want)
		}
	}
	if w := d.send("HEAD", "/livez", ""); w.Code != 200 {
		t.Errorf("HEAD /livez is answered with %d", w.Code)
	}
}

func TestContentTypesThatAreTaken(t *testing.T) {
	d := newDesk(t)
	for _, sent := range []string{
		"application/json", "application/json; charset=UTF-8", "application/vnd.shop+json", "application/x-www-form-urlencoded",
	} {
		if w := d.send("POST", "/v1/orders", goodOrder, "Content-Type: "+sent); w.Code != 202 {
			t.Errorf("%s is answered with %d %s", sent, w.Code, w.Body)
		}
	}
	body := goodOrder + strings.Repeat(" ", maxBody-len(goodOrder))
	if w := d.send("POST", "/v1/orders", body); w.Code != 202 {
		t.Errorf("a body of exactly 1 MiB without a type is answered with %d %s", w.Code, w.Body)
	}
}

func TestABodyThatDoesNotSayItsSizeIsBoundedToo(t *testing.T) {
	d := newDesk(t)
	r := httptest.NewRequest("POST", "/v1/orders", strings.NewReader(goodOrder+strings.Repeat(" ", maxBody)))
	r.ContentLength = -1
	w := httptest.NewRecorder()
	d.http.Handler.ServeHTTP(w, r)
	wantProblem(t, w, 413, "body_too_large")
}

func TestABadCommandNamesEveryBadField(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct{ path, body, key, want string }{
		{"/v1/inventory/lamp/receipts", `{"quantity":0,"location":"a/b","color":1}`, "", "[color quantity location]"},
		{"/v1/inventory/%2F/receipts", `{"quantity":"5"}`, "a/b", "[quantity sku Idempotency-Key]"},
		{"/v1/inventory/lamp/adjustments", `{}`, "", "[quantity reason]"},
		{"/v1/shipments/o-1/dispatch", ``, "", "[carrier tracking_number]"},
		{"/v1/shipments/o-1/deliver", `{"carrier":"x"}`, "", "[carrier]"},
		{"/v1/orders/o-1/cancel", `{"reason":7}`, "", "[reason]"},
		{"/v1/orders", `{"customer":{"email":"ada at example.org"},"lines":[{"sku":"lamp","quantity":1}]}`, "", "[customer.email]"},
		{"/v1/orders", `{"order_id":"a/b","policy":"some","customer":{"email":"a\nb"},"lines":[{"sku":"","quantity":-1}]}`, "",
			"[order_id policy customer.email lines[0].sku lines[0].quantity]"},
	} {
		var headers []string
		if c.key != "" {
			headers = append(headers, "Idempotency-Key: "+c.key)
		}
		p := wantProblem(t, d.send("POST", c.path, c.body, headers...), 400, "invalid")
		var names []string
		for _, e := range p.Errors {
			names = append(names, e.Field)
		}
		if got := fmt.Sprint(names); got != c.want {
			t.Errorf("%s %s names %s, expected %s", c.path, c.body, got, c.want)
		}
	}
}

func TestAnOrderWithoutAnIDIsAnsweredWhenTheLogHasIt(t *testing.T) {
	d := newDesk(t)
	w := d.send("POST", "/v1/orders", goodOrder)
	var row placedRow
	if err := json.Unmarshal(w.Body.Bytes(), &row); err != nil {
		t.Fatal(err)
	}
	if w.Code != 202 || row.Status != "pending" || row.OrderID == "" || w.Header().Get("Location") != "/v1/orders/"+row.OrderID {
		t.Fatalf("the answer is %d %s %s", w.Code, w.Header(), w.Body)
	}
	if len(d.log.written) != 1 || d.log.written[0].Log != "order-events" || d.log.written[0].Key != row.OrderID {
		t.Fatalf("the log has %+v", d.log.written)
	}
	got, err := codecs.DecodeOrderEvent(d.log.written[0].Value)
	want := order.Placed{Lines: []order.PlacedLine{{SKU: "lamp", Quantity: 2}}}
	if err != nil || fmt.Sprint(got.Event) != fmt.Sprint(want) {
		t.Errorf("the log has %+v, %v, expected %+v", got.Event, err, want)
	}
}

func TestARepeatedKeyIsTheSameOrder(t *testing.T) {
	first, second := orderID("", "k"), orderID("", "k")
	if first != second || first == orderID("", "l") {
		t.Error("ids don't follow keys")
	}
	if one, other := orderID("", ""), orderID("", ""); one == other {
		t.Error("two orders without a name have the same id")
	}
	if err := codecs.CheckID("order_id", orderID("", strings.Repeat("\x01", 5000))); err != nil {
		t.Error(err)
	}
}

// A refusal could not be told while the table isn't read, so nothing may be written.
func TestNothingIsWrittenThatCanNotBeAnswered(t *testing.T) {
	d := newDesk(t)
	for path, body := range map[string]string{
		"/v1/inventory/lamp/receipts":    `{"quantity":1}`,
		"/v1/inventory/lamp/adjustments": `{"quantity":-1,"reason":"loss"}`,
		"/v1/orders/o-1/cancel":          ``,
		"/v1/shipments/o-1/dispatch":     `{"carrier":"c","tracking_number":"t"}`,
		"/v1/shipments/o-1/deliver":      `{}`,
		"/v1/orders":                     `{"order_id":"o","lines":[{"sku":"lamp","quantity":2}]}`,
	} {
		w := d.send("POST", path, body)
		p := wantProblem(t, w, 503, "recovering")
		if w.Header().Get("Retry-After") == "" || !strings.Contains(p.Detail, "-table") {
			t.Errorf("%s is answered with %s %+v", path, w.Header(), p)
		}
	}
	if n := len(d.log.written); n != 0 {
		t.Errorf("%d messages were written", n)
	}
}

func TestALogThatFailsIsToldApartFromOneThatMayHaveTakenIt(t *testing.T) {
	d := newDesk(t)
	d.log.err = fmt.Errorf("%w: no route", engine.ErrUnreachable)
	w := d.send("POST", "/v1/orders", goodOrder)
	p := wantProblem(t, w, 503, "log_unreachable")
	if w.Header().Get("Retry-After") == "" || strings.Contains(p.Detail, "no route") {
		t.Errorf("the answer is %s %+v", w.Header(), p)
	}

	d.log.err = fmt.Errorf("%w: it is silent", engine.ErrUnknown)
	w = d.send("POST", "/v1/orders", goodOrder, "Prefer: respond-async")
	p = wantProblem(t, w, 503, "outcome_unknown")
	if w.Header().Get("Retry-After") == "" || !strings.Contains(p.Detail, "GET /v1/orders/") || !strings.Contains(p.Detail, `order_id "`) {
		t.Errorf("the answer is %s %+v", w.Header(), p)
	}
}

func TestAPanicIsAProblemAndLoggedOnce(t *testing.T) {
	d := newDesk(t)
	d.waits = []string{"panic"}
	p := wantProblem(t, d.send("GET", "/readyz", ""), 500, "internal")
	if strings.Contains(fmt.Sprint(p), "a bug") {
		t.Error("the client was shown the panic")
	}
	if n := strings.Count(d.said.String(), `panic="a bug"`); n != 1 {
		t.Errorf("the panic was logged %d times: %s", n, d.said)
	}
	if w := d.send("GET", "/livez", ""); w.Code != 200 {
		t.Errorf("the next request is answered with %d", w.Code)
	}
}

func TestReadyzSaysWhatItWaitsFor(t *testing.T) {
	d := newDesk(t)
	if w := d.send("GET", "/readyz", ""); w.Code != 200 || w.Body.String() != "{\"status\":\"ready\"}\n" {
		t.Errorf("ready is %d %s", w.Code, w.Body)
	}
	d.waits = []string{"order-table"}
	if w := d.send("GET", "/readyz", ""); w.Code != 503 || w.Body.String() != "{\"status\":\"waiting\",\"waits_for\":[\"order-table\"]}\n" {
		t.Errorf("not ready is %d %s", w.Code, w.Body)
	}
}

func TestRequestsAreCountedByRouteAndNotByPath(t *testing.T) {
	d := newDesk(t)
	d.send("GET", "/v1/orders/o-1", "")
	d.send("GET", "/v1/orders/o-2", "")
	d.send("BREW", "/nowhere", "")
	text := d.send("GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`stockflow_http_requests_total{code="503",method="GET",route="/v1/orders/{order_id}"} 2`,
		`stockflow_http_requests_total{code="404",method="other",route="none"} 1`,
		`stockflow_http_request_seconds_count{route="/v1/orders/{order_id}"} 2`,
		`stockflow_http_requests_in_flight 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s:\n%s", want, text)
		}
	}
}

func TestNoCustomerIsNamedInTheLog(t *testing.T) {
	d := newDesk(t)
	d.log.err = engine.ErrUnknown
	d.send("POST", "/v1/orders", `{"customer":{"id":"c-1","name":"Ada","email":"ada@example.com"},"ship_to":"Main St","lines":[{"sku":"lamp","quantity":2}]}`)
	for _, secret := range []string{"c-1", "Ada", "example.com", "Main St"} {
		if strings.Contains(d.said.String(), secret) {
			t.Errorf("the log has %q: %s", secret, d.said)
		}
	}
	if !strings.Contains(d.said.String(), "log=order-events") {
		t.Errorf("the log does not say which log: %s", d.said)
	}
}

// Whoever waits for an outcome must not hold up a stop.
func TestAStopEndsTheWaits(t *testing.T) {
	d := newDesk(t)
	ctx, cancel := d.waiting(t.Context(), time.Hour)
	defer cancel()
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(30 * time.Second):
		t.Error("the wait goes on")
	}
}

// Over a real connection, as net/http has limits of its own.
func TestHeadersUpToTheLimitAreTakenOverTheNetwork(t *testing.T) {
	d := newDesk(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.Serve(l) }()
	for _, c := range []struct{ size, status int }{{maxHeaders - 300, 200}, {maxHeaders + 300, 431}, {4 * maxHeaders, 431}} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+"/livez", nil)
		r.Header.Set("X", strings.Repeat("x", c.size))
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != c.status {
			t.Errorf("headers of %d bytes are answered with %d %s", c.size, answer.StatusCode, text)
		}
	}
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
