// Package mail sends the e-mails of the outbox, which is the notification machine's table.
//
// It stands outside of the fold: it reads which e-mails are queued, hands them to a mail server, and writes to the
// log what became of each. So a replay sends none; and a process that dies leaves the table as it was, so that the
// next one sends what is still queued. What may be sent twice is what was in flight when the process died: the server
// had taken it, and the log had not heard of it. Both copies have the same Message-ID.
package mail

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/notification"
	"stockflow/views"
)

// Sender sends what is queued in the partitions that its process owns.
type Sender struct {
	Config
	metrics  metrics
	slots    chan struct{} // holds a token for each order in hand
	sends    chan struct{} // and one for each e-mail that is with the outlet, or whose outcome the log doesn't have yet
	woken    chan struct{} // holds one token when backlog has something for dispatch
	scanNow  chan struct{} // and one when only a walk over the table finds all that is queued
	deferred chan struct{} // and one when an e-mail was put off, for a later walk to find
	room     int           // in backlog
	touched  chan struct{} // and one when a row has come since the queued ones were counted

	mu       sync.Mutex // guards what follows
	hand     map[string]*sendJob
	backlog  []string        // keys whose rows have changed, oldest first
	inLine   map[string]bool // the same keys
	begun    map[int32]*beginning
	catching map[string]*sendJob // beginnings that wait for a row; they send nothing, and an order may have the same key
}

// Config is what a sender stands on. All of it is needed but Backoff and After.
type Config struct {
	Outbox    Outbox
	Ownership Ownership
	Emitter   Emitter
	Outlet    Outlet
	Writer    *Writer
	Log       *slog.Logger
	Registry  prometheus.Registerer
	// Backoff says how long to wait after the nth attempt in a row that came to nothing, n from 1.
	Backoff func(n int) time.Duration
	After   func(time.Duration) <-chan time.Time // time.After, but for tests
}

// Outbox is the table of e-mails, as views.Table has it.
type Outbox interface {
	Get(key string) (views.Row[notification.State], error)
	List(sel views.Selection[notification.State], after string, limit int) (page []views.Entry[notification.State], next string, err error)
	Partition(key string) int32
	Subscribe(told func(key string))
	WaitRecovered(ctx context.Context) error
}

// Ownership says which partitions are this process's, as engine.Group does.
type Ownership interface {
	Owned() []int32
	Changed() <-chan struct{}
}

// Emitter puts messages on logs, as engine.Emitter does.
type Emitter interface {
	Emit(ctx context.Context, o engine.Output, headers ...codecs.Header) (engine.Position, error)
}

const (
	maxHand        = 256             // orders in hand at once, most of them waiting for another attempt
	maxFlights     = 8               // e-mails that are handed over at once: what a crash may repeat
	maxBacklog     = 4096            // changed rows that are remembered; beyond them, the table is walked
	maxAttempts    = 6               // in a row; then an e-mail is put off until the next walk
	putOff         = 5 * time.Minute // how long
	grace          = 5 * time.Second // how long a stop waits for e-mails that are with the outlet
	longestBackoff = time.Minute
)

// New returns a sender. It sends nothing before it is run.
func New(c Config) *Sender {
	if c.Backoff == nil {
		c.Backoff = func(n int) time.Duration { return min(time.Second<<min(n-1, 10), longestBackoff) }
	}
	if c.After == nil {
		c.After = time.After
	}
	s := &Sender{
		Config: c, metrics: newMetrics(c.Registry),
		slots: make(chan struct{}, maxHand), sends: make(chan struct{}, maxFlights),
		woken: make(chan struct{}, 1), scanNow: make(chan struct{}, 1),
		deferred: make(chan struct{}, 1), touched: make(chan struct{}, 1),
		room: maxBacklog, hand: map[string]*sendJob{}, inLine: map[string]bool{}, begun: map[int32]*beginning{},
		catching: map[string]*sendJob{},
	}
	c.Outbox.Subscribe(s.tell)
	return s
}

// Run sends until ctx ends, and then lets e-mails that are with the outlet come to their end, for a while.
func (s *Sender) Run(ctx context.Context) error {
	lasting, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	unhook := context.AfterFunc(ctx, func() { time.AfterFunc(grace, end) })
	defer unhook()
	var running, errands sync.WaitGroup
	start := func(key string) { s.take(ctx, lasting, key, &errands) }
	running.Go(func() { s.dispatch(ctx, start) })
	running.Go(func() { s.walks(ctx, start, &running) })
	running.Go(func() { s.counts(ctx) })
	running.Wait()
	errands.Wait()
	return nil
}

// tell is called for every row that comes in. It must not block: what doesn't fit is found by a walk.
func (s *Sender) tell(key string) {
	signal(s.touched)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.catching[key]; e != nil {
		signal(e.changed)
	}
	switch e := s.hand[key]; {
	case e != nil:
		signal(e.changed)
	case s.inLine[key]:
	case len(s.backlog) >= s.room:
		signal(s.scanNow)
	default:
		s.backlog, s.inLine[key] = append(s.backlog, key), true
		signal(s.woken)
	}
}

// signal puts a token into a channel that holds one, if there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// dispatch takes the backlog in hand, key by key.
func (s *Sender) dispatch(ctx context.Context, start func(key string)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.woken:
		}
		for key, ok := s.nextKey(); ok && ctx.Err() == nil; key, ok = s.nextKey() {
			start(key)
		}
	}
}

func (s *Sender) nextKey() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.backlog) == 0 {
		s.backlog = nil // what was taken from its front can be freed
		return "", false
	}
	key := s.backlog[0]
	s.backlog = s.backlog[1:]
	delete(s.inLine, key)
	return key, true
}

// take takes an order in hand, once there is a slot for it.
func (s *Sender) take(ctx, lasting context.Context, key string, errands *sync.WaitGroup) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	e := &sendJob{sender: s, key: key, changed: make(chan struct{}, 1), stopping: ctx, lasting: lasting}
	s.mu.Lock()
	other := s.hand[key]
	if other == nil {
		s.hand[key] = e
	} else {
		signal(other.changed) // it looks at the row once more before it leaves
	}
	s.mu.Unlock()
	if other != nil {
		<-s.slots
		return
	}
	errands.Go(func() {
		defer func() { <-s.slots }()
		e.run()
	})
}

// owns reports whether an order's e-mails are this process's to send.
func (s *Sender) owns(key string) bool {
	partition := s.Outbox.Partition(key)
	s.mu.Lock()
	b := s.begun[partition]
	ready := b != nil && b.ready
	s.mu.Unlock()
	return ready && slices.Contains(s.Ownership.Owned(), partition)
}
