package stockflowtest

import (
	"io"
	"log"
	"maps"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// Relay is a mail server in this process, which outlives those that it serves.
type Relay struct {
	Address string
	onMail  func(n int) error // nil, or called with the number of an e-mail when it was read

	mu      sync.Mutex     // guards what follows
	n       int            // e-mails that were read
	taken   map[string]int // how often, by Message-ID
	fresh   []string       // taken since the last Drain, repeats too
	open    int            // sessions
	changed chan struct{}  // closed, and replaced, when an e-mail was taken or a session has ended
	hold    chan struct{}  // if not nil, an e-mail that was taken is acknowledged when it is closed
}

// NewRelay starts a mail server, which ends with the test. onMail may be nil; its error is what the sender is told, and
// the e-mail isn't taken then.
func NewRelay(t testing.TB, onMail func(n int) error) *Relay {
	t.Helper()
	r := &Relay{onMail: onMail, taken: map[string]int{}, changed: make(chan struct{})}
	server := smtp.NewServer(smtp.BackendFunc(r.begin))
	server.ErrorLog = log.New(io.Discard, "", 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.Address = listener.Addr().String()
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) }) // its end is Close
	t.Cleanup(func() { _ = server.Close(); served.Wait() })
	return r
}

// Flags make a server send its e-mails here.
func (r *Relay) Flags() []string {
	return []string{"--smtp", r.Address, "--smtp-tls", "none", "--mail-from", "shop@example.org"}
}

func (r *Relay) begin(*smtp.Conn) (smtp.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	return session{r}, nil
}

// session is one connection.
type session struct{ relay *Relay }

func (session) Mail(string, *smtp.MailOptions) error { return nil }
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (session) Reset()                               {}

// Data reads an e-mail and takes it. From then on it counts, whether its sender hears of it or not.
func (s session) Data(body io.Reader) error {
	m, err := mail.ReadMessage(body)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, m.Body); err != nil {
		return err
	}
	return s.relay.take(strings.Trim(m.Header.Get("Message-ID"), "<>"))
}

func (s session) Logout() error {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.open--
	s.relay.change()
	return nil
}

func (r *Relay) take(id string) error {
	r.mu.Lock()
	r.n++
	n := r.n
	r.mu.Unlock()
	if r.onMail != nil {
		if err := r.onMail(n); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.taken[id]++
	r.fresh = append(r.fresh, id)
	r.change()
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return nil
}

// change wakes all who wait. The caller holds mu.
func (r *Relay) change() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// until waits until a condition holds, which is asked for with mu held; or until stop, and returns false then.
func (r *Relay) until(met func() bool, stop <-chan struct{}) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !met() {
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-stop:
		}
		r.mu.Lock()
		if Was(stop) {
			return met()
		}
	}
	return true
}

// Wait waits until that many different e-mails were taken, and reports whether they were before stop is closed.
func (r *Relay) Wait(want int, stop <-chan struct{}) bool {
	return r.until(func() bool { return len(r.taken) >= want }, stop)
}

// Next waits until another e-mail is taken, and reports whether one was before stop is closed. Its sender, and all that
// come after, are kept waiting for an answer until release is called.
func (r *Relay) Next(stop <-chan struct{}) (came bool, release func()) {
	hold := make(chan struct{})
	r.mu.Lock()
	r.hold = hold
	before := len(r.fresh)
	r.mu.Unlock()
	came = r.until(func() bool { return len(r.fresh) > before }, stop)
	return came, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		close(hold)
		r.hold = nil
	}
}

// Drain waits until those who were connected are gone, and returns what was taken since the last time: Message-IDs, one
// for each time. The senders must have been killed.
func (r *Relay) Drain() []string {
	r.until(func() bool { return r.open == 0 }, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := r.fresh
	r.fresh = nil
	return fresh
}

// Counts returns how often each e-mail was taken, by Message-ID.
func (r *Relay) Counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.taken)
}

// Repeats returns how many e-mails were taken that had been taken before.
func (r *Relay) Repeats() (n int) {
	for _, times := range r.Counts() {
		n += times - 1
	}
	return n
}
