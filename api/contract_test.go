package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"go.yaml.in/yaml/v4"

	"stockflow/cli"
	"stockflow/journal"
	"stockflow/journal/files/powercut"
	"stockflow/processors"
	"stockflow/stockflowtest/fake"
)

// contract holds requests and answers against openapi.yaml, on their way between a test and a server. What the document
// doesn't name is an error: a field, a status, a content type.
type contract struct {
	t *testing.T
	strict

	mu       sync.Mutex
	statuses map[string]bool // METHOD path status, of all that was answered
}

func newContract(t *testing.T) *contract {
	t.Helper()
	s, err := strictly()
	if err != nil {
		t.Fatal(err)
	}
	return &contract{t: t, strict: s, statuses: map[string]bool{}}
}

// strict is the document with all objects closed.
type strict struct {
	doc    *openapi3.T
	router routers.Router
}

// strictly reads the document with all objects closed that have properties. Clients are told that fields may be
// added; a test has to notice when one was.
var strictly = sync.OnceValues(func() (s strict, err error) {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return s, err
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return s, err
	}
	closeObjects(tree)
	if text, err = json.Marshal(tree); err != nil {
		return s, err
	}
	if s.doc, err = openapi3.NewLoader().LoadFromData(text); err != nil {
		return s, err
	}
	if err := s.doc.Validate(context.Background()); err != nil {
		return s, fmt.Errorf("with closed objects: %w", err)
	}
	s.router, err = gorillamux.NewRouter(s.doc)
	return s, err
})

func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, is := node["properties"].(map[string]any); is && node["type"] != nil && node["additionalProperties"] == nil {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// RoundTrip sends a request, and validates its answer. A request that was taken is validated too.
func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	a, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || strings.HasPrefix(a.Header.Get("Content-Type"), "text/event-stream") {
		return a, err
	}
	text, err := io.ReadAll(a.Body)
	_ = a.Body.Close()
	a.Body = io.NopCloser(bytes.NewReader(text))
	if err != nil {
		return a, err
	}
	if err := c.check(r, sent, a, text); err != nil {
		c.t.Errorf("%s %s %.300s is answered with %d %.300s\nwhich openapi.yaml has otherwise: %v", r.Method, r.URL.Path, sent, a.StatusCode, text, err)
	}
	return a, nil
}

// others are the statuses that any operation may answer with; openapi.yaml has them as its default.
var others = []int{403, 405, 408, 431, 500}

func (c *contract) check(r *http.Request, sent []byte, a *http.Response, text []byte) error {
	request := r.Clone(r.Context())
	request.Body = io.NopCloser(bytes.NewReader(sent))
	if len(sent) > 0 && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json") // which may be left out
	}
	route, params, err := c.router.FindRoute(request)
	if err != nil && (a.StatusCode == 404 || a.StatusCode == 405) {
		return nil
	}
	if err != nil {
		return err
	}
	c.note(r.Method, route.Path, a.StatusCode)
	for name, value := range params {
		params[name], _ = url.PathUnescape(value)
	}
	in := &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route}
	if a.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			return err
		}
	}
	if route.Operation.Responses.Status(a.StatusCode) == nil && !slices.Contains(others, a.StatusCode) {
		return fmt.Errorf("it does not have the status")
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: a.StatusCode, Header: a.Header}
	out.Options = &openapi3filter.Options{ExcludeResponseBody: !strings.Contains(a.Header.Get("Content-Type"), "json")}
	out.SetBodyBytes(text)
	return openapi3filter.ValidateResponse(r.Context(), out)
}

func (c *contract) note(method, path string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statuses[fmt.Sprint(method, " ", path, " ", status)] = true
}

// saw fails the test unless an operation was answered with a status.
func (c *contract) saw(seen ...string) {
	c.t.Helper()
	for _, s := range seen {
		if !c.statuses[s] {
			c.t.Errorf("nothing was answered with %s", s)
		}
	}
}

// A life of an order, with most of what can go wrong, every request and answer held against the document.
func TestAnswersAreAsTheDocumentHasThem(t *testing.T) {
	h := newHouse(t)
	c := newContract(t)
	h.client.Transport = c
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5,"location":"north"}`, 200)
	h.send("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, "Idempotency-Key: r-1")
	h.want("POST", "/v1/inventory/lamp/adjustments", `{"quantity":-99,"reason":"loss"}`, 409, "code=below_zero")
	h.want("POST", "/v1/orders", `{"order_id":"o-1","customer":{"id":"c-1","email":"ada@example.com"},"lines":[{"sku":"lamp","quantity":2}]}`, 201)
	h.want("POST", "/v1/orders", `{"order_id":"o-2","policy":"partial","lines":[{"sku":"lamp","quantity":99}]}`, 201)
	h.want("POST", "/v1/orders", `{"order_id":"o-3","policy":"backorder","lines":[{"sku":"lamp","quantity":1}]}`, 201, "status=backordered")
	h.want("POST", "/v1/orders", `{"order_id":"o-4","lines":[{"sku":"desk","quantity":1}]}`, 201, "status=rejected")
	h.want("POST", "/v1/orders", `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":3}]}`, 409, "code=id_conflict")
	token := h.send("POST", "/v1/orders", `{"lines":[{"sku":"lamp","quantity":1}]}`, "Idempotency-Key: k-1").token()
	for _, path := range []string{"/v1/orders/o-1", "/v1/inventory/lamp", "/v1/shipments/o-1", "/v1/orders", "/v1/inventory", "/v1/shipments", "/v1/notifications"} {
		h.want("GET", path+"?after="+token+"&wait=10", "", 200)
		h.want("GET", path+"?after=x", "", 400, "code=invalid")
	}
	h.want("GET", "/v1/orders?status=confirmed&limit=1", "", 200)
	h.want("GET", "/v1/inventory?prefix=la&max_available=100", "", 200)
	h.want("POST", "/v1/shipments/o-1/deliver", ``, 409)
	h.want("POST", "/v1/shipments/o-1/dispatch", `{"carrier":"DHL","tracking_number":"X1"}`, 200)
	h.want("POST", "/v1/shipments/o-1/deliver", `{}`, 200)
	h.want("POST", "/v1/orders/o-1/cancel", ``, 409)
	h.want("POST", "/v1/orders/o-3/cancel", `{"reason":"too late"}`, 200)
	h.want("POST", "/v1/notifications/o-1/confirmed/resend", ``, 409)
	for _, kind := range []string{"orders", "inventory", "shipments", "notifications"} {
		h.want("GET", "/v1/"+kind+"/nothing", "", 404)
	}
	h.want("GET", "/v1/events?table=x", "", 400)
	h.want("POST", "/v1/orders", `{"lines":[]}`, 400)
	h.want("POST", "/v1/orders", `{`, 400)
	h.want("POST", "/v1/orders", strings.Repeat(" ", 2<<20), 413)
	if a := h.send("POST", "/v1/orders", `x`, "Content-Type: text/plain"); a.status != 415 {
		t.Errorf("text is answered with %d", a.status)
	}
	h.want("DELETE", "/v1/orders", "", 405)
	h.want("GET", "/livez", "", 200)
	h.want("GET", "/readyz", "", 200)
	for _, path := range []string{"/metrics", "/openapi.yaml", "/docs"} {
		if a, err := h.client.Get(h.url + path); err != nil || a.StatusCode != 200 || a.Body.Close() != nil {
			t.Errorf("%s is answered with %v, %v", path, a, err)
		}
	}
	c.saw("POST /v1/orders 201", "POST /v1/orders 202", "POST /v1/orders 400", "POST /v1/orders 409", "POST /v1/orders 413",
		"POST /v1/orders 415", "GET /v1/orders 200", "GET /v1/notifications/{order_id} 404", "GET /docs 200")
}

// What is open and what can't be seen yet is as the document has it too.
func TestAnswersOfAHouseThatLacksAMachineAreAsTheDocumentHasThem(t *testing.T) {
	h := newHouse(t, "api", "order", "shipment")
	c := newContract(t)
	h.client.Transport = c
	h.want("POST", "/v1/orders", `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}`, 202)
	receipt := h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":1}`, 202)
	h.want("GET", "/v1/inventory/lamp?wait=0&after="+receipt.token(), "", 504, "code=not_yet")
	c.saw("POST /v1/inventory/{sku}/receipts 202", "GET /v1/inventory/{sku} 504")
}

// A message that nobody could take is listed as the document has it.
func TestDeadLettersAreAsTheDocumentHasThem(t *testing.T) {
	h := newHouse(t)
	c := newContract(t)
	h.client.Transport = c
	for _, value := range []string{`{"placed":{"lines":[{"sku":"lamp"}]}}`, "\xff"} {
		h.write(processors.OrderEvents, "o-1", []byte(value))
	}
	// Both are letters once what comes behind them in their partition is decided.
	h.want("POST", "/v1/orders", `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":1}]}`, 201)
	if letters := h.want("GET", "/v1/dead-letters?topic=order-events&limit=2", "", 200).items(); len(letters) != 2 {
		t.Errorf("the dead letters are %v", letters)
	}
	if next := h.want("GET", "/v1/dead-letters?limit=1", "", 200).field("next"); len(next) < 10 {
		t.Errorf("behind the first page comes %s", next)
	}
	h.want("GET", "/v1/dead-letters?topic=x", "", 400)
	c.saw("GET /v1/dead-letters 200", "GET /v1/dead-letters 400")
}

// What has expired, who asks too often, and what can't be written or read any more, is as the document has it.
func TestAnswersInBadTimesAreAsTheDocumentHasThem(t *testing.T) {
	t.Parallel()
	c := newContract(t)
	dir := t.TempDir()
	h, stop := settle(t, dir)
	token := h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":1}`, 200).token()
	stop()
	h, stop = settled(t, cli.Serve{Data: dir, RateLimit: 1})
	h.client.Transport = c
	h.want("GET", "/v1/inventory/lamp?after="+token, "", 410, "code=token_expired")
	for i := 0; !c.statuses["GET /v1/dead-letters 429"]; i++ {
		if a := h.send("GET", "/v1/dead-letters", ""); a.status == 429 && a.field("code") != "rate_limited" || i == 1000 {
			t.Errorf("the answer %d is %d %s", i, a.status, a.text)
			break
		}
	}
	stop()
	c.saw("GET /v1/inventory/{sku} 410", "GET /v1/dead-letters 429")
}

// What can't be written or read any more is as the document has it: with a journal that is broken, and with brokers that
// are gone.
func TestAnswersWithoutALogAreAsTheDocumentHasThem(t *testing.T) {
	t.Parallel()
	disk, kafka := powercut.New(), fake.Open(t)
	for name, c := range map[string]struct {
		serve cli.Serve
		end   func()
	}{
		"journal": {cli.Serve{}.OnJournal(journal.Options{Files: disk, TailBytes: tailBytes}), func() {
			disk.Inject(func(op powercut.Operation) (f powercut.Fault) {
				if op.Kind.Changes() && strings.Contains(op.Name, "tail-") {
					f.Err = errors.New("input/output error")
				}
				return f
			})
		}},
		"kafka": {cli.Serve{Brokers: kafka.Brokers()}, kafka.Close},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.serve.Data = t.TempDir()
			h, stop := settled(t, c.serve)
			defer stop()
			h.client.Transport = newContract(t)
			c.end()
			h.until(func() (bool, string) { // what is under way when the log goes may have got there
				a := h.send("POST", "/v1/orders", `{"lines":[{"sku":"lamp","quantity":1}]}`)
				return a.field("code") == "log_unreachable", a.text
			})
			h.want("GET", "/readyz", "", 503)
			h.want("GET", "/v1/system", "", 200)
			if name == "kafka" {
				h.want("GET", "/v1/dead-letters", "", 503, "code=log_unreachable")
			}
		})
	}
}

// A client that begins with the document's examples is understood.
func TestTheExamplesOfRequestsAreTaken(t *testing.T) {
	h := newHouse(t)
	c := newContract(t)
	h.client.Transport = c
	sent := 0
	for path, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody == nil {
				continue
			}
			at := path
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				at = strings.ReplaceAll(at, "{"+p.Value.Name+"}", fmt.Sprint(p.Value.Example))
			}
			for _, body := range examples(t, op) {
				sent++
				if a := h.send(method, at, body); a.status >= 300 && a.status != 404 && a.status != 409 {
					t.Errorf("%s %s %s is answered with %d %s", method, at, body, a.status, a.text)
				}
			}
		}
	}
	if sent < 9 {
		t.Errorf("there are %d examples of requests", sent)
	}
}

// examples are the bodies that an operation is shown with.
func examples(t *testing.T, op *openapi3.Operation) (bodies []string) {
	media := op.RequestBody.Value.Content["application/json"]
	values := []any{media.Example}
	for _, e := range media.Examples {
		values = append(values, e.Value.Value)
	}
	for _, v := range values {
		if v == nil {
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(text))
	}
	return bodies
}
