package mail

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/machines/notification"
	"stockflow/views"
)

// pageSize is how many rows of the table are in memory at once during a walk.
const pageSize = 256

// postpone puts off what is left of an order, for a walk to find later. Without it, e-mails that nobody takes would fill
// the hand, and those behind them would never have their turn.
func (s *Sender) postpone(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hand, key)
	signal(s.deferred)
}

// walks looks for what is queued: when partitions become this process's, when rows have come in faster than they
// could be remembered, and a while after an e-mail was put off.
func (s *Sender) walks(ctx context.Context, start func(key string), running *sync.WaitGroup) {
	var later <-chan time.Time // when what was parked is looked for; nil when nothing was
	for {
		changed := s.Ownership.Changed()
		for _, b := range s.begin(ctx, s.Ownership.Owned()) {
			running.Go(func() { s.catchUp(b) })
		}
		signal(s.touched)
		select {
		case <-ctx.Done():
			return
		case <-changed:
			continue
		case <-s.deferred:
			if later == nil {
				later = s.After(putOff)
			}
			continue
		case <-s.scanNow:
		case <-later:
			later = nil
		}
		s.each(ctx, func(key string, _ notification.State) { start(key) })
	}
}

// each calls f with the rows of this process that have something queued, a page at a time. It waits for a table that
// can't be read yet, and goes on where it was when the table is opened anew.
func (s *Sender) each(ctx context.Context, f func(key string, row notification.State)) {
	after, failures := "", 0
	for ctx.Err() == nil {
		if s.Outbox.WaitRecovered(ctx) != nil {
			return
		}
		page, next, err := s.Outbox.List(views.Mails(notification.StatusQueued), after, pageSize)
		if err != nil {
			failures++
			s.Log.Warn("the outbox can't be read", "error", err)
			s.wait(ctx, s.Backoff(failures))
			continue
		}
		for _, entry := range page {
			if ctx.Err() == nil && s.owns(entry.Key) {
				f(entry.Key, entry.Row.State)
			}
		}
		if failures, after = 0, next; after == "" {
			return
		}
	}
}

func (s *Sender) wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-s.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Counting reads every row that has something queued, so it is done at most once in countEvery, and takes at most a
// fiftieth of the time.
const (
	countEvery = 10 * time.Second
	countShare = 50
)

// counts keeps the metric of what is queued.
func (s *Sender) counts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.touched:
		}
		began := time.Now()
		n := s.count(ctx)
		if ctx.Err() != nil {
			return
		}
		s.metrics.queued.Set(float64(n))
		if !s.wait(ctx, max(countEvery, countShare*time.Since(began))) {
			return
		}
	}
}

// count returns how many e-mails are queued in the partitions of this process.
func (s *Sender) count(ctx context.Context) (n int) {
	s.each(ctx, func(_ string, row notification.State) {
		for _, m := range row.Mails {
			if m.Status == notification.StatusQueued {
				n++
			}
		}
	})
	return n
}

type metrics struct {
	queued   prometheus.Gauge
	attempts *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		queued: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stockflow_mails_queued", Help: "E-mails that are yet to be sent, in the partitions of this process; counted every 10 s or less often.",
		}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockflow_mail_attempts_total", Help: "Attempts to hand over an e-mail: taken, deferred to be tried again, refused for good.",
		}, []string{"result"}),
	}
	r.MustRegister(m.queued, m.attempts)
	return m
}
