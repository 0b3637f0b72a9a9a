package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// shop is a client of a running Stockflow. It may be used by many goroutines at once.
type shop struct {
	t    *testing.T
	url  string
	http *http.Client
}

// answer is what Stockflow has answered.
type answer struct {
	status int
	header http.Header
	text   string
}

// row is what these tests read of an order, a SKU, a shipment or a problem.
type row struct {
	OrderID string `json:"order_id"`
	Status  string `json:"-"` // a problem has a number there
	Raw     any    `json:"status"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
	Lines   []struct {
		SKU       string `json:"sku"`
		Quantity  int64  `json:"quantity"`
		Status    string `json:"status"`
		Allocated int64  `json:"allocated"`
	} `json:"lines"`
	OnHand    int64 `json:"on_hand"`
	Reserved  int64 `json:"reserved"`
	Available int64 `json:"available"`
}

// generous is a bound on everything that is waited for, so that a test that hangs says where.
const generous = 2 * time.Minute

func newShop(t *testing.T, address string) *shop {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &shop{t, "http://" + address, &http.Client{Transport: transport, Timeout: generous}}
}

// open starts a Stockflow in this process on a port of the system's choice, and stops it with the test.
func open(t *testing.T, dir string, roles ...string) (*Server, *shop) {
	t.Helper()
	return start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Roles: roles})
}

// begin is start for a server that need not become ready.
func begin(t *testing.T, serve Serve) (*Server, *shop) {
	t.Helper()
	server, err := serve.Start(t.Context(), slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { halt(t, server) })
	return server, newShop(t, server.HTTPAddr())
}

func start(t *testing.T, serve Serve) (*Server, *shop) {
	t.Helper()
	server, client := begin(t, serve)
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		t.Fatalf("it is not ready, and waits for %q: %v", server.Waiting(), err)
	}
	return server, client
}

// halt stops a server, which may have been stopped before.
func halt(t *testing.T, server *Server) {
	t.Helper()
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
}

// try sends a request; headers are "Name: value". Its error says that there was no answer.
func (s *shop) try(method, path, body string, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	got, err := s.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header, strings.TrimSpace(string(text))}, err
}

// send is try for those who are owed an answer.
func (s *shop) send(method, path, body string, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(method, path, body, headers...)
	if err != nil {
		s.t.Errorf("%s %s is not answered: %v", method, path, err)
	}
	return a
}

// insist is try for a request that counts once however often it is sent: it is sent again while the answer is that the
// outcome is open, or not known. A machine that is busy with other things may take its time.
func (s *shop) insist(method, path, body string, headers ...string) (answer, error) {
	for end := time.Now().Add(generous); ; {
		a, err := s.try(method, path, body, headers...)
		open := a.status == http.StatusAccepted || a.status == http.StatusServiceUnavailable
		if err != nil || !open || time.Now().After(end) {
			return a, err
		}
	}
}

// noted places an order whose outcome nobody waits for, and expects that the log has it.
func (s *shop) noted(order string) answer {
	s.t.Helper()
	a := s.send("POST", "/v1/orders", order)
	for end := time.Now().Add(generous); a.status == http.StatusServiceUnavailable && time.Now().Before(end); {
		a = s.send("POST", "/v1/orders", order) // a busy machine may take longer to acknowledge it than a client is let wait
	}
	if a.status != http.StatusAccepted {
		s.t.Errorf("%s is answered with %d %s", order, a.status, a.text)
	}
	return a
}

// until asks until the answer has a text in it, and fails the test if it never has.
func (s *shop) until(path, text string) {
	s.t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(generous); ; <-again.C {
		a := s.send("GET", path, "")
		if strings.Contains(a.text, text) {
			return
		}
		if time.Now().After(end) {
			s.t.Errorf("%s is still answered with %d %s, expected %s in it", path, a.status, a.text, text)
			return
		}
	}
}

// repeatable reports whether a request without Idempotency-Key may be insisted on.
func repeatable(path, body string) bool {
	return strings.Contains(body, `"order_id"`) || strings.HasPrefix(path, "/v1/shipments/") ||
		strings.HasSuffix(path, "/cancel") || strings.HasSuffix(path, "/resend")
}

// want sends a request and expects an answer with that status that holds the texts. A client of these tests prefers
// to wait for the outcome, and insists on it where it may.
func (s *shop) want(method, path, body string, status int, texts ...string) row {
	s.t.Helper()
	headers := []string{"Prefer: wait=10"}
	moves := strings.HasSuffix(path, "/receipts") || strings.HasSuffix(path, "/adjustments")
	if moves { // which count each time, but for their keys
		headers = append(headers, fmt.Sprint("Idempotency-Key: want-", keys.Add(1)))
	}
	a := s.send(method, path, body, headers...)
	if a.status != status && (moves || repeatable(path, body)) {
		a, _ = s.insist(method, path, body, headers...)
	}
	if a.status != status {
		s.t.Errorf("%s %s %s is answered with %d %s, expected %d", method, path, body, a.status, a.text, status)
	}
	for _, text := range texts {
		if !strings.Contains(a.text, text) {
			s.t.Errorf("%s %s %s is answered with %s, expected %s in it", method, path, body, a.text, text)
		}
	}
	return s.row(a)
}

// keys numbers what is sent with a key of its own.
var keys atomic.Int64

// wantStock expects the numbers of a SKU.
func (s *shop) wantStock(sku string, onHand, reserved int64) {
	s.t.Helper()
	s.want("GET", "/v1/inventory/"+url.PathEscape(sku), "", 200,
		fmt.Sprintf(`"on_hand":%d,"reserved":%d,"available":%d,"locations"`, onHand, reserved, onHand-reserved))
}

// row reads what is in an answer.
func (s *shop) row(a answer) row {
	s.t.Helper()
	var r row
	if err := json.Unmarshal([]byte(a.text), &r); err != nil {
		s.t.Errorf("an answer is %d %q: %v", a.status, a.text, err)
	}
	r.Status, _ = r.Raw.(string)
	return r
}

// look reads a row that has to be there.
func (s *shop) look(path string) row {
	s.t.Helper()
	return s.want("GET", path, "", 200)
}

// placed places an order, and waits until its shipment is scheduled too and it knows of that: then it is at rest.
func (s *shop) placed(order, path string, texts ...string) {
	s.t.Helper()
	s.want("GET", path+"?wait=30&after="+s.send("POST", "/v1/orders", order).header.Get("Stockflow-Token"), "", 200, texts...)
}

// asJSON writes a body.
func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings and numbers are ever sent
	}
	return string(text)
}
