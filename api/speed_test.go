package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/views"
)

// atOnce is a log that has everything the moment it comes.
type atOnce struct{}

func (atOnce) Emit(context.Context, engine.Output, ...codecs.Header) (engine.Position, error) {
	return engine.Position{Partition: 3, Offset: 1 << 20}, nil
}

// usualOrder is what most shops send.
const usualOrder = `{"customer":{"id":"c-1"},"lines":[{"sku":"lamp","quantity":2},{"sku":"desk","quantity":1}]}`

// BenchmarkPlace is what it takes to answer an order without an id: all that stands in front of the log, and no log.
func BenchmarkPlace(b *testing.B) {
	s, err := New(Config{
		Tables:       views.Open(broker.Connection{}, b.TempDir(), slog.New(slog.DiscardHandler)),
		Emitter:      atOnce{},
		DeploymentID: []byte("realm"),
		Registry:     prometheus.NewRegistry(),
		Log:          slog.New(slog.NewTextHandler(io.Discard, nil)),
		Pressure:     Pressure{InFlight: 512, Connections: 8192}, Hosts: []string{"example.com"},
	})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/v1/orders", nil)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(usualOrder))
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(usualOrder))
		w := httptest.NewRecorder()
		if s.http.Handler.ServeHTTP(w, r); w.Code != http.StatusAccepted {
			b.Fatalf("an order was answered with %d", w.Code)
		}
	}
}

// BenchmarkReadOrder is what it takes to read the body of an order.
func BenchmarkReadOrder(b *testing.B) {
	text := []byte(usualOrder)
	b.ReportAllocs()
	for b.Loop() {
		var o orderBody
		if bad, err := fill(text, o.fields()); err != nil || len(bad) > 0 {
			b.Fatal(bad, err)
		}
	}
}

// BenchmarkWait is what it takes to be ready for an outcome that may not come in time.
func BenchmarkWait(b *testing.B) {
	s := &Server{}
	s.stopping, s.stopWaits = context.WithCancel(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		_, cancel := s.waiting(b.Context(), decisionTimeout)
		cancel()
	}
}
