package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/replay/history"
	"stockflow/views"
)

// Config is what a server stands on. All of it is needed, but for Pressure.
type Config struct {
	Tables       *views.Tables
	History      *history.History
	Emitter      Emitter
	Redriver     Redriver
	Skipper      Skipper
	System       func(context.Context) System // what there is to say of the whole; it answers at once
	DeploymentID []byte                       // what no other Stockflow has, the same for all processes of this one; tokens are made with it
	Ready        func() []string              // what Stockflow waits for before it does its work; empty when it does
	Former       []byte                       // the realm of the same deployment before its logs were moved; nil if they never were
	Registry     *prometheus.Registry
	Log          *slog.Logger
	Pressure     Pressure
	Hosts        []string // names that the server may be asked by, beside those of loopback and the address that it is asked at
}

// Emitter puts messages on logs, as engine.Emitter does.
type Emitter interface {
	Emit(ctx context.Context, o engine.Output, headers ...codecs.Header) (engine.Position, error)
}

// Server answers HTTP. Its methods may be called at once.
type Server struct {
	emitter   Emitter
	redriver  Redriver
	skipper   Skipper
	about     func(context.Context) System
	tables    *views.Tables
	history   *history.History
	realm     []byte
	former    []byte // nil for none
	waitsFor  func() []string
	registry  *prometheus.Registry
	metrics   metrics
	gate      *gate
	hosts     hosts
	keys      keys
	streams   streams
	log       *slog.Logger
	http      *http.Server
	orders    resource[orderState]
	stocks    resource[inventoryState]
	parcels   resource[shipmentState]
	mails     resource[notificationState]
	unwritten rateLimitedLog
	stopping  context.Context // ends when the server is told to stop
	stopWaits context.CancelFunc
}

// How long clients may take. An answer may need maxWait and the log's time-out before it is begun.
const (
	headerTime = 10 * time.Second
	readTime   = 30 * time.Second
	writeTime  = 60 * time.Second
	idleTime   = 2 * time.Minute
)

// New returns a server. The error is that of a registry which has its metrics already.
func New(c Config) (*Server, error) {
	m, err := newMetrics(c.Registry)
	if err != nil {
		return nil, err
	}
	g, err := newGate(c.Pressure, c.Registry)
	if err != nil {
		return nil, err
	}
	s := &Server{
		gate: g, hosts: newHosts(c.Hosts),
		emitter: c.Emitter, redriver: c.Redriver, skipper: c.Skipper, about: c.System, tables: c.Tables, history: c.History, realm: c.DeploymentID, former: c.Former, waitsFor: c.Ready, registry: c.Registry, metrics: m, log: c.Log,
		orders: orderResource(c.Tables), stocks: inventoryResource(c.Tables), parcels: shipmentResource(c.Tables),
		mails:     notificationResource(c.Tables),
		unwritten: rateLimitedLog{sometimes: rate.Sometimes{First: 1, Interval: 10 * time.Second}},
	}
	if s.streams, err = newStreams(s.tolds(), c.Registry); err != nil {
		return nil, err
	}
	s.stopping, s.stopWaits = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 2 * maxHeaders, ConnContext: g.connections.opened, ConnState: g.connections.changed,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Serve answers on l until Shutdown, and returns nil then. It closes l.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	return nil
}

// Shutdown lets the requests that run finish, until ctx ends; those that wait for an outcome are answered at once that
// it is open. New ones are not taken. Tables and emitter must live until it has returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopWaits()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("stopping HTTP: %w", err), s.http.Close())
	}
	return nil
}

// waiting returns a context for a wait of at most d, which also ends with ctx and when the server stops.
func (s *Server) waiting(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	unhook := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { unhook(); cancel() }
}

func (s *Server) live(context.Context, struct{}) (reply, error) {
	return reply{status: http.StatusOK, body: state{Status: "alive"}}, nil
}

func (s *Server) ready(context.Context, struct{}) (reply, error) {
	if waits := s.waitsFor(); len(waits) > 0 {
		return reply{
			status: http.StatusServiceUnavailable, header: later,
			body: state{Status: "waiting", WaitsFor: waits},
		}, nil
	}
	return reply{status: http.StatusOK, body: state{Status: "ready"}}, nil
}

// state is the body of livez and readyz.
type state struct {
	Status   string   `json:"status"`
	WaitsFor []string `json:"waits_for,omitempty"`
}
