package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// How long one request may take, and how long to wait before it is sent again. Stockflow answers within 10 s of waiting
// for an outcome and the few seconds that its log may take.
const (
	requestTime  = 30 * time.Second
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
	maxAnswer    = 4 << 20
)

// sender sends entries until they are settled. Its methods may be called at once.
type sender struct {
	http     *http.Client
	url      string
	wait     bool
	patience time.Duration
	limiter  limiter
	now      func() time.Time                     // time.Now, but for tests
	after    func(time.Duration) <-chan time.Time // time.After, but for tests
}

// limiter says when the next request may be sent.
type limiter interface {
	Wait(ctx context.Context) error
}

func newSender(o Options) *sender {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = o.Concurrency, o.Concurrency
	return &sender{
		http: &http.Client{
			Transport: transport, Timeout: requestTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		url: o.URL, wait: o.Wait, patience: o.Patience, limiter: newLimiter(o.Rate), now: time.Now, after: time.After,
	}
}

// newLimiter lets so many requests pass in a second, evenly, and any number if it is 0.
func newLimiter(perSecond float64) *rate.Limiter {
	if perSecond == 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(perSecond), 1)
}

func (s *sender) close() { s.http.CloseIdleConnections() }

// reach returns an error if nobody listens at the URL. Then there is no use in trying for minutes.
func (s *sender) reach(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/livez", nil)
	if err != nil {
		return err
	}
	got, err := s.http.Do(r)
	if err == nil {
		return got.Body.Close()
	}
	var refused *net.OpError
	if errors.As(err, &refused) && refused.Op == "dial" {
		return fmt.Errorf("--url: nobody answers at %s (%w); is stockflow serve running?", s.url, refused)
	}
	return nil
}

// send sends an entry until it is settled. The same request may be sent many times: its order id or its key makes it
// count once. Of one that the log has, and nobody has decided when patience ends, it returns just that. The error says
// that it could not be settled, and why.
func (s *sender) send(ctx context.Context, e *entry) (outcome, error) {
	began := s.now()
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		if err := s.limiter.Wait(ctx); err != nil {
			return outcome{}, err
		}
		a, err := s.try(ctx, e)
		if ctx.Err() != nil {
			return outcome{}, ctx.Err()
		}
		o, settled, wrong := settle(a, err)
		if settled || wrong != nil || o.open() && !s.waitsFor(e) {
			return o, wrong
		}
		pause := max(a.retryAfter, backoff/2+rand.N(backoff/2+1))
		if s.now().Sub(began)+pause > s.patience {
			return s.giveUp(e, o, why(a, err))
		}
		select {
		case <-s.after(pause):
		case <-ctx.Done():
			return outcome{}, ctx.Err()
		}
	}
}

// giveUp returns what is said of an entry when patience ends. What was taken is let go, as one SKU that nobody decides
// about must not hold up the rows of all others; what was not taken ends the run.
func (s *sender) giveUp(e *entry, o outcome, why string) (outcome, error) {
	if !o.open() {
		return outcome{}, fmt.Errorf("stockflow did not take line %d within %v: %s", e.rows[0].line, s.patience, why)
	}
	o.undecided = fmt.Sprintf("pending: taken, and not decided within %v; look at %s before it is loaded again", s.patience, o.shows)
	return o, nil
}

// waitsFor reports whether the decision on an entry is waited for. Those on stock always are.
func (s *sender) waitsFor(e *entry) bool { return s.wait || e.path != ordersPath }

// why an entry is not settled.
func why(a answer, err error) string {
	if err != nil {
		return err.Error()
	}
	return a.String()
}

// try sends an entry once. Its error says that there was no whole answer.
func (s *sender) try(ctx context.Context, e *entry) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+e.path, bytes.NewReader(e.body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	if e.key != "" {
		r.Header.Set("Idempotency-Key", e.key)
	}
	if s.wait && e.path == ordersPath {
		r.Header.Set("Prefer", "wait=10")
	}
	got, err := s.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer))
	return answer{got.StatusCode, got.Header.Get("Content-Type"), text, retryAfter(got.Header.Get("Retry-After"))}, err
}

// retryAfter reads seconds; dates are not what Stockflow sends.
func retryAfter(header string) time.Duration {
	n, err := strconv.Atoi(header)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, time.Minute)
}
