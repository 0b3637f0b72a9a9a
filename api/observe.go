package api

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) (metrics, error) {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockflow_http_requests_total", Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "stockflow_http_request_seconds", Help: "Time from a request's headers to the end of its answer.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stockflow_http_requests_in_flight", Help: "Requests that are being answered.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.inFlight} {
		if err := registry.Register(c); err != nil {
			return m, fmt.Errorf("registering the metrics of HTTP: %w", err)
		}
	}
	return m, nil
}

// response remembers what was answered, and on which route.
type response struct {
	http.ResponseWriter
	route string
	code  int // 0 until a header was written
}

func (w *response) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *response) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// routeOf returns the route that w answers, "none" before it is known.
func routeOf(w http.ResponseWriter) string {
	if r, ok := w.(*response); ok {
		return r.route
	}
	return "none"
}

// observe names the route that h serves, for the metrics and the log.
func (s *Server) observe(route string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if observed, ok := w.(*response); ok {
			observed.route = route
		}
		h.ServeHTTP(w, r)
	})
}

// recovering counts and times all requests. It ends a panic here: the client gets a problem, or a broken answer
// if one was begun, and everyone else goes on.
func (s *Server) recovering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &response{ResponseWriter: rw, route: "none"}
		start := time.Now()
		s.metrics.inFlight.Inc()
		defer func() {
			cause := recover()
			s.count(w, r, start, cause)
			if cause != nil && w.code != 0 {
				panic(http.ErrAbortHandler) // net/http's own way to break off an answer, without a log
			}
			if cause != nil {
				write(w, http.StatusInternalServerError, "application/problem+json", nil, internal.problem())
			}
		}()
		h.ServeHTTP(w, r)
	})
}

var internal = &fault{code: "internal", detail: "The cause is in the server's log."}

func (s *Server) count(w *response, r *http.Request, start time.Time, cause any) {
	code := w.code
	if cause != nil {
		s.log.Error("a request panicked", "method", r.Method, "route", w.route, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		code = http.StatusInternalServerError
	}
	s.metrics.inFlight.Dec()
	s.metrics.seconds.WithLabelValues(w.route).Observe(time.Since(start).Seconds())
	s.metrics.requests.WithLabelValues(w.route, methodLabel(r.Method), strconv.Itoa(code)).Inc()
}

// methodLabel keeps the methods that clients invent from becoming labels.
func methodLabel(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}
