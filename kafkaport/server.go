package kafkaport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"stockflow/journal"
	"stockflow/kafkaport/groups"
)

// A Server answers Kafka's requests from a journal. It has to be closed before the journal is.
type Server struct {
	journal  *journal.Journal
	log      *slog.Logger
	writable []string
	own      []string // groups of Stockflow
	limits   Limits
	groups   *groups.Coordinator

	requests     *semaphore.Weighted // bytes of requests
	decompressed *semaphore.Weighted // bytes of what they decompress to
	answers      *semaphore.Weighted // bytes of records going out; who holds some waits for no other semaphore
	complaints   rate.Sometimes      // about too many connections
	failures     rate.Sometimes      // of the journal

	ctx    context.Context // until Close
	cancel context.CancelFunc
	served sync.WaitGroup // connections and listeners

	mu          sync.Mutex // guards what follows
	closed      bool
	listeners   []net.Listener
	connections map[net.Conn]struct{}
	advertise   string
}

// New returns a server, which answers once it is given a listener. A server that is not closed leaks nothing but its memory.
func New(c Config) *Server {
	log := c.Log
	if log == nil {
		log = slog.Default()
	}
	limits := c.Limits.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		journal: c.Journal, log: log, writable: c.Writable, own: c.Groups, limits: limits, advertise: c.Advertise,
		groups:       groups.New(limits.Members),
		requests:     semaphore.NewWeighted(limits.Requests),
		decompressed: semaphore.NewWeighted(limits.Decompressed),
		answers:      semaphore.NewWeighted(limits.Answers),
		complaints:   rate.Sometimes{First: 1, Interval: 10 * time.Second},
		failures:     rate.Sometimes{First: 1, Interval: time.Second},
		ctx:          ctx, cancel: cancel,
		connections: map[net.Conn]struct{}{},
	}
}

// Serve answers those who connect to the listener, until Close, and returns nil then. The listener must be one of
// loopback, and belongs to the server from now on. An accept that fails is tried again.
func (s *Server) Serve(l net.Listener) error {
	err := s.begin(l)
	if errors.Is(err, errClosed) { // before it began
		return l.Close()
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer s.served.Done()
	const shortest, longest = 5 * time.Millisecond, time.Second
	for wait := shortest; ; wait = min(2*wait, longest) {
		conn, err := l.Accept()
		switch {
		case err == nil:
			wait = shortest
			s.admit(conn)
		case s.ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept Kafka connections on %s: %w", l.Addr(), err)
		default:
			s.log.Warn("accepting a Kafka connection failed, trying again", "in", wait, "error", err)
			if !s.sleep(wait) {
				return nil
			}
		}
	}
}

var errClosed = errors.New("the server is closed")

// begin takes a listener over.
func (s *Server) begin(l net.Listener) error {
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return fmt.Errorf("serve Kafka's protocol on %s: only loopback addresses are served, as there are no logins", l.Addr())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.listeners = append(s.listeners, l)
	if s.advertise == "" {
		s.advertise = l.Addr().String()
	}
	s.served.Add(1)
	return nil
}

// sleep waits, and reports whether the server is still open then.
func (s *Server) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.ctx.Done():
		return false
	}
}

// admit serves a connection, unless there are too many.
func (s *Server) admit(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.connections) >= s.limits.Connections {
		_ = conn.Close() // nothing was said on it
		s.complaints.Do(func() {
			s.log.Warn("too many Kafka connections, closing new ones", "limit", s.limits.Connections)
		})
		return
	}
	s.connections[conn] = struct{}{}
	s.served.Go(func() {
		newConnection(s, conn).serve()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.connections, conn)
	})
}

// Close ends all connections and waits for what they were doing. Requests that were not answered may have been carried out
// or not, as with any Kafka that goes away.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	s.closed = true
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for conn := range s.connections {
		_ = conn.Close() // its goroutines see that it is closed, and end
	}
	s.mu.Unlock()
	s.served.Wait()
	s.groups.Close()
	return errors.Join(errs...)
}

// isOwn reports whether a group is Stockflow's.
func (s *Server) isOwn(group string) bool { return slices.Contains(s.own, group) }

// clusterID is the same for each start on the same journal.
func (s *Server) clusterID() string { return ClusterID + "-" + s.journal.ID() }

// brokerID is the id of the one broker that there is.
const brokerID = 1

// advertised is where clients find the broker.
func (s *Server) advertised() (host string, port int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	host, text, err := net.SplitHostPort(s.advertise)
	n, portErr := strconv.ParseUint(text, 10, 16)
	if err != nil || portErr != nil {
		return s.advertise, 0
	}
	return host, int32(n)
}
