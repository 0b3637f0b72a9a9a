package api

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Pressure is how much a server takes on at once. What is beyond it is refused at once, with a problem that says when
// to come again: to wait in line would only make everyone slow, and the line takes memory. A zero is no limit.
type Pressure struct {
	InFlight    int     // requests that are being answered
	Connections int     // open connections, half of which may be streams of events
	Rate        float64 // requests a second from one client address
	// Proxies are believed when they say, in X-Forwarded-For, for whom they ask.
	Proxies []netip.Prefix
}

// Check returns what is wrong with p, by the names of its flags.
func (p Pressure) Check() error {
	var errs []error
	if p.InFlight < 0 {
		errs = append(errs, fmt.Errorf("--max-in-flight: must be 0 or more, is %d", p.InFlight))
	}
	if p.Connections < 0 {
		errs = append(errs, fmt.Errorf("--max-connections: must be 0 or more, is %d", p.Connections))
	}
	if math.IsNaN(p.Rate) || p.Rate < 0 || math.IsInf(p.Rate, 0) {
		errs = append(errs, fmt.Errorf("--rate-limit: must be 0 or more, is %v", p.Rate))
	}
	return errors.Join(errs...)
}

// maxHeld is how many bytes of bodies are in memory at once, of those that arrive and of those being answered.
const maxHeld = 64 << 20

// gate keeps the limits of a server.
type gate struct {
	requests    slots
	streams     slots
	lingering   slots        // refused requests whose bodies are read to their end
	held        atomic.Int64 // bytes of bodies in memory
	maxHeld     int64
	clients     *clients
	proxies     proxies
	connections *connections
	refused     *prometheus.CounterVec // by reason
}

func newGate(p Pressure, registry prometheus.Registerer) (*gate, error) {
	g := &gate{
		requests: newSlots(p.InFlight), streams: newSlots((p.Connections + 1) / 2), maxHeld: maxHeld, lingering: newSlots(mostLinger),
		clients: newClients(p.Rate), proxies: p.Proxies,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockflow_http_refused_total",
			Help: "Requests and connections that were turned away: busy, memory, rate, streams, connections.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"busy", "memory", "rate", "streams", "connections"} {
		g.refused.WithLabelValues(reason) // a series that is there from the start can be watched for its first increase
	}
	g.connections = newConnections(p.Connections, g.refused.WithLabelValues("connections").Inc)
	if err := registry.Register(g.refused); err != nil {
		return nil, fmt.Errorf("registering the metrics of refusals: %w", err)
	}
	return g, nil
}

// admit lets a request through to h, or refuses it. Who asks how the server is, is let through always: that is asked
// when it is under pressure above all.
func (s *Server) admit(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isExempt(r.URL.Path) {
			h.ServeHTTP(w, r)
			return
		}
		v, f := s.gate.enter(r)
		defer v.leave()
		if f != nil {
			s.refuse(w, r, f)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func isExempt(path string) bool {
	return path == "/livez" || path == "/readyz" || path == "/metrics" || path == "/v1/system"
}

// streaming is the route whose answers don't end. They are bounded by themselves, or a few hundred that listen would
// keep everyone from ordering.
const streaming = "/v1/events"

// visit is what a request takes of a gate.
type visit struct {
	gate *gate
	held int64       // bytes of its body
	in   slots       // where it has a place, nil if nowhere
	from *connection // that works for it, nil if none does
}

// leave gives back what was taken.
func (v visit) leave() {
	v.gate.connections.rest(v.from)
	v.in.give()
	v.gate.held.Add(-v.held)
}

// enter takes what a request needs, or says why it can't have it. The visit has to leave in either case.
//
// The body is awaited before a slot is taken. So a client that trickles it holds no slot, and its connection counts as
// one that nothing is done for, which gives way when connections run short.
func (g *gate) enter(r *http.Request) (v visit, f *fault) {
	v.gate = g
	if wait := g.clients.wait(g.proxies.clientOf(r), time.Now()); wait > 0 {
		return v, g.rateFault(wait)
	}
	var err error
	v.held, err = g.await(r)
	switch {
	case errors.Is(err, errFull):
		return v, g.fault("busy", "memory", "Nothing was done. Other requests fill the memory there is for bodies.")
	case err != nil: // it takes no slot to say so, and many may break off at once, when their connections give way
		return v, brokenOff(err)
	}
	slots, reason := g.requests, "busy"
	if r.URL.Path == streaming {
		slots, reason = g.streams, "streams"
	}
	if !slots.take() {
		return v, g.fault("busy", reason, "Nothing was done. As many requests are being answered as may be at once.")
	}
	v.in, v.from = slots, g.connections.work(r.Context())
	return v, nil
}

func (g *gate) fault(code, reason, detail string) *fault {
	g.refused.WithLabelValues(reason).Inc()
	return &fault{code: code, detail: detail, header: later}
}

func (g *gate) rateFault(wait time.Duration) *fault {
	f := g.fault("rate_limited", "rate", "Nothing was done. This client sends more requests a second than it may.")
	f.header = headers{{"Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds())))}}
	return f
}

// slots is a number of places; nil has no end of them.
type slots chan struct{}

func newSlots(n int) slots {
	if n <= 0 {
		return nil
	}
	return make(slots, n)
}

// take reports whether there was a place. It never waits.
func (s slots) take() bool {
	if s == nil {
		return true
	}
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) give() {
	if s != nil {
		<-s
	}
}

// errFull says that there is no memory for more of a body.
var errFull = errors.New("too many bytes are held")

// firstRead is how many bytes a body gets at first, whatever it says of its size.
const firstRead = 512

// await reads the body of r into memory, where its handler finds it. held is how many bytes that takes, also of a body that breaks
// off, and none of one that there is no room for. One that says it is too large is left for its handler to refuse, and of one that doesn't say so no more is read than shows it.
func (g *gate) await(r *http.Request) (held int64, err error) {
	most := largestBody(r)
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength > most {
		return 0, nil
	}
	if most++; r.ContentLength > 0 {
		most = r.ContentLength
	}
	var text []byte
	for err == nil && int64(len(text)) < most {
		if len(text) == cap(text) {
			room := min(max(firstRead, 2*held), most)
			more := room - held
			held = room
			if g.held.Add(more) > g.maxHeld {
				g.held.Add(-held) // who is refused holds nothing, however long it goes on sending
				r.Body = awaitedBody{ReadCloser: r.Body}
				return 0, errFull
			}
			text = append(make([]byte, 0, room), text...)
		}
		var n int
		n, err = r.Body.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
	}
	whole := int64(len(text)) == r.ContentLength
	if errors.Is(err, io.EOF) {
		whole, err = true, nil
	}
	r.Body = awaitedBody{r.Body, text, whole}
	return held, err
}

// awaitedBody is a body that has arrived, or as much of it as there was room for.
type awaitedBody struct {
	io.ReadCloser
	text  []byte
	whole bool // there is nothing left to read of it
}
