package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"stockflow/api"
	"stockflow/broker"
	"stockflow/deadletters"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/mail"
	"stockflow/processors"
	"stockflow/replay/history"
	"stockflow/views"
)

// Server is a running Stockflow.
type Server struct {
	serve        Serve
	log          *slog.Logger
	registry     *prometheus.Registry
	journal      *journal.Journal   // nil with brokers
	kafka        *broker.Connection // nil with the journal
	outside      broker.Broker      // the logs and tables as all but the processors see them
	inside       broker.Broker      // as the processors do
	kafkaNote    string             // where Kafka's protocol is spoken, for people; "" if nowhere
	partitions   int32
	deployment   string // "" for one that was on Kafka from the beginning
	deploymentID []byte
	former       []byte // the realm before the logs were moved, nil if they never were
	groups       []*engine.Group

	notifications *engine.Group // one of groups, nil if there is none
	writer        *mail.Writer
	outlet        mail.Outlet

	tables   *views.Tables
	history  *history.History
	emitter  *engine.Emitter
	api      *api.Server
	listener net.Listener
	room     descriptors

	ended chan error // what ended by itself
	parts []part     // in the order in which they were started
}

// part is something that runs until it is stopped. Stopping waits until it has ended.
type part struct {
	name string
	stop func() error
}

// Start starts everything and returns when HTTP is answered, with 503 until the tables have been read. If it fails,
// it stops what it has started.
func (s Serve) Start(ctx context.Context, log *slog.Logger) (*Server, error) {
	server := &Server{serve: s, log: log, registry: prometheus.NewRegistry(), ended: make(chan error, 8)}
	for _, step := range []func(context.Context) error{
		server.listen, server.prepareMail, server.openBroker, server.openTopics, server.startPort, server.startViews, server.startHistory, server.startProcessors, server.startHTTP, server.startMail,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, server.Stop())
		}
	}
	return server, nil
}

// does reports whether the process has a role.
func (s Serve) does(role string) bool {
	return slices.Contains(s.Roles, role) || slices.Contains(s.Roles, "all") || len(s.Roles) == 0
}

// listen takes the port first: a port that is taken is the commonest mistake, and needs no broker to be found.
func (s *Server) listen(ctx context.Context) error {
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var l net.Listener
	err := afterLeaving(ctx, s.serve.Data, func() (err error) {
		l, err = net.Listen("tcp", s.serve.HTTP)
		return err
	})
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	s.listener = l
	s.room = share(openFilesLimit(), s.serve.Partitions, s.serve.pressure(), s.log)
	warnBeyondLoopback(l.Addr(), s.log)
	s.parts = append(s.parts, part{"listener", func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}})
	return nil
}

// startViews follows the tables. Only the API reads them; without its role, they answer that they can't be read.
func (s *Server) startViews(context.Context) error {
	s.tables = views.Open(s.outside, filepath.Join(s.serve.Data, "views"), s.log)
	s.tables.Files(s.files())
	if s.serve.does("api") {
		s.start("views", s.tables.Run)
	}
	return nil
}

// startHistory follows the logs for those who look back. Nobody waits for it to be ready: it answers from where it is.
func (s *Server) startHistory(context.Context) error {
	s.history = history.Open(s.outside, filepath.Join(s.serve.Data, "history"), s.partitions, s.log)
	s.history.Files(s.files())
	if s.serve.does("api") && !s.serve.NoHistory {
		s.start("history", s.history.Run)
	}
	return nil
}

// startProcessors runs the groups of the machines that are this process's roles, side by side.
func (s *Server) startProcessors(context.Context) error {
	c := engine.Config{
		Conn: s.inside, Dir: filepath.Join(s.serve.Data, "processors"), Files: s.files(), Partitions: s.partitions,
		Log: s.log, Metrics: engine.NewMetrics(s.registry), Skips: engine.NewSkips(s.inside),
	}
	m := processors.NewMetrics(s.registry)
	if s.serve.does("order") {
		s.groups = append(s.groups, engine.NewGroup(processors.Order(m), c))
	}
	if s.serve.does("inventory") {
		s.groups = append(s.groups, engine.NewGroup(processors.Inventory(m), c))
	}
	if s.serve.does("shipment") {
		s.groups = append(s.groups, engine.NewGroup(processors.Shipment(m), c))
	}
	if s.serve.does("notification") {
		s.notifications = engine.NewGroup(processors.Notification(m), c)
		s.groups = append(s.groups, s.notifications)
	}
	s.start("processors", s.runGroups)
	return nil
}

// runGroups returns when every group has ended: all of them do when ctx does or when one can't go on.
func (s *Server) runGroups(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, g := range s.groups {
		running.Go(func() {
			if err := g.Run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// start runs a part beside the others. Its end by itself ends the server.
func (s *Server) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			s.ended <- fmt.Errorf("%s: %w", name, err)
		}
		done <- err
	}()
	s.parts = append(s.parts, part{name, func() error {
		cancel()
		return <-done
	}})
}

// Listening says where each listener is, one line each.
func (s *Server) Listening() []string {
	var lines []string
	if s.journal != nil {
		lines = append(lines, "journal "+journalIn(s.serve.Data))
	}
	if s.kafkaNote != "" {
		lines = append(lines, "kafka   "+s.kafkaNote)
	}
	return append(lines, "http    http://"+s.HTTPAddr())
}

// HTTPAddr returns host and port of the HTTP API.
func (s *Server) HTTPAddr() string { return s.listener.Addr().String() }

// Broker returns the logs and tables as the world sees them.
func (s *Server) Broker() broker.Broker { return s.outside }

// Journal returns the journal, nil with brokers.
func (s *Server) Journal() *journal.Journal { return s.journal }

// Waiting says what keeps the server from being ready, one line each.
func (s *Server) Waiting() []string {
	var lines []string
	if s.emitter != nil {
		lines = append(lines, s.emitter.Waiting()...)
	}
	for _, g := range s.groups {
		lines = append(lines, g.Waiting()...)
	}
	if s.serve.does("api") {
		if err := s.tables.Recovered(); err != nil {
			lines = append(lines, strings.Split(err.Error(), "\n")...)
		}
	}
	return lines
}

// WaitReady returns nil once nothing is waited for, or an error when ctx ends before.
func (s *Server) WaitReady(ctx context.Context) error {
	if s.serve.does("api") {
		if err := s.tables.WaitRecovered(ctx); err != nil {
			return err
		}
	}
	for _, g := range s.groups {
		if err := g.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Wait returns nil when ctx ends, and the error of a part that ended by itself.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.ended:
		return err
	}
}

// Stop ends all parts in the reverse order of their start, so that nobody is left calling what has gone: HTTP,
// emitter, processors, views, broker. Each has finished when the next is stopped. It may be called again.
func (s *Server) Stop() error {
	var errs []error
	for _, p := range slices.Backward(s.parts) {
		if err := p.stop(); err != nil {
			errs = append(errs, fmt.Errorf("stopping %s: %w", p.name, err))
		}
	}
	s.parts = nil
	return errors.Join(errs...)
}

// stopTimeout is how long the brokers may take to answer at the start.
const stopTimeout = 15 * time.Second

// httpTimeout is how long a stop waits for the requests that run.
const httpTimeout = 15 * time.Second

// startHTTP answers requests, from here on with what the tables have.
func (s *Server) startHTTP(context.Context) error {
	emitter, err := engine.NewEmitter(s.outside, s.partitions)
	if err != nil {
		return err
	}
	s.emitter = emitter
	s.parts = append(s.parts, part{"emitter", func() error { emitter.Close(); return nil }})
	s.api, err = api.New(api.Config{
		Tables: s.tables, History: s.history, Emitter: emitter, Redriver: deadletters.NewRedriver(s.tables.DeadLetters, emitter.Redriver()),
		Skipper: deadletters.NewSkipper(s.outside, s.tables.DeadLetters, emitter.Redriver()),
		System:  s.system, DeploymentID: s.deploymentID, Former: s.former, Ready: s.Waiting, Registry: s.registry, Log: s.log,
		Pressure: s.pressure(), Hosts: s.hosts(),
	})
	if err != nil {
		return err
	}
	withdraw, err := announce(s.files(), s.serve.Data, s.HTTPAddr())
	if err != nil {
		return err
	}
	s.parts = append(s.parts, part{"address", withdraw})
	served := make(chan error, 1)
	go func() {
		err := s.api.Serve(s.listener)
		if err != nil {
			s.ended <- err
		}
		served <- err
	}()
	s.parts = append(s.parts, part{"http", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), httpTimeout)
		defer cancel()
		return errors.Join(s.api.Shutdown(ctx), <-served)
	}})
	return nil
}
