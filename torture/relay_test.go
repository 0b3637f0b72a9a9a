package torture

import (
	"io"
	"log"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// relay is a mail server in this process, which outlives those that it serves.
type relay struct {
	address string

	mu     sync.Mutex     // guards what follows
	taken  map[string]int // how often, by Message-ID
	fresh  []string       // taken since the last look, repeats too
	open   int            // sessions
	closed chan struct{}  // closed, and replaced, when a session has ended
	came   chan struct{}  // closed, and replaced, when an e-mail was taken
	hold   chan struct{}  // if not nil, an e-mail that was taken is acknowledged when it is closed
}

func newRelay(t testing.TB) *relay {
	t.Helper()
	r := &relay{taken: map[string]int{}, closed: make(chan struct{}), came: make(chan struct{})}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.open++
		return session{r}, nil
	}))
	server.ErrorLog = log.New(io.Discard, "", 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = listener.Addr().String()
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) }) // its end is Close
	t.Cleanup(func() { _ = server.Close(); served.Wait() })
	return r
}

// flags make a server send its e-mails here.
func (r *relay) flags() []string {
	return []string{"--smtp", r.address, "--smtp-tls", "none", "--mail-from", "shop@example.org"}
}

// session is one connection.
type session struct{ *relay }

func (session) Mail(string, *smtp.MailOptions) error { return nil }
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (session) Reset()                               {}

// Data takes an e-mail. From then on it counts, whether its sender hears of it or not.
func (s session) Data(body io.Reader) error {
	m, err := mail.ReadMessage(body)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, m.Body); err != nil {
		return err
	}
	id := strings.Trim(m.Header.Get("Message-ID"), "<>")
	s.mu.Lock()
	s.taken[id]++
	s.fresh = append(s.fresh, id)
	close(s.came)
	s.came = make(chan struct{})
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return nil
}

func (s session) Logout() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	close(s.closed)
	s.closed = make(chan struct{})
	return nil
}

// next returns a channel that is closed when the next e-mail was taken, and keeps its sender waiting until release is
// called.
func (r *relay) next() (came <-chan struct{}, release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hold := make(chan struct{})
	r.hold = hold
	return r.came, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		close(hold)
		r.hold = nil
	}
}

// drain waits until those who were connected are gone, and returns what was taken since the last time, one entry for each
// time. The senders must have been killed.
func (r *relay) drain() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.open > 0 {
		closed := r.closed
		r.mu.Unlock()
		<-closed
		r.mu.Lock()
	}
	fresh := r.fresh
	r.fresh = nil
	return fresh
}

// counts returns how often each e-mail was taken, by Message-ID.
func (r *relay) counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[string]int, len(r.taken))
	for id, n := range r.taken {
		counts[id] = n
	}
	return counts
}
