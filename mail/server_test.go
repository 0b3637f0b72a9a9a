package mail

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// relay is a mail server in this process that does as it is told.
type relay struct {
	t       testing.TB
	address string
	hanging chan string // tells to whom the e-mail is that it hangs at
	release chan struct{}

	mu       sync.Mutex          // guards what follows
	moods    map[string][]string // by recipient, what is done to the next e-mails: "452 data", "hang", "hang up"
	turnAway int                 // how many connections are answered with 421
	taken    []letter            // what was read to its end and not refused
	open     int
	most     int // e-mails at once
}

// letter is an e-mail as the relay got it.
type letter struct {
	to  string
	raw []byte
}

func (l letter) read(t *testing.T) *mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(l.raw))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newRelay(t testing.TB, change ...func(*smtp.Server)) *relay {
	t.Helper()
	r := &relay{t: t, hanging: make(chan string, 100), release: make(chan struct{}), moods: map[string][]string{}}
	server := smtp.NewServer(smtp.BackendFunc(r.begin))
	server.Domain, server.ErrorLog = "relay", log.New(io.Discard, "", 0)
	for _, c := range change {
		c(server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = listener.Addr().String()
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) }) // its end is Close
	t.Cleanup(func() {
		close(r.release)
		_ = server.Close()
		served.Wait()
	})
	return r
}

// moody says what is done to the next e-mails to an address.
func (r *relay) moody(to string, moods ...string) { r.moods[to] = moods }

func (r *relay) begin(c *smtp.Conn) (smtp.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turnAway > 0 {
		r.turnAway--
		return nil, &smtp.SMTPError{Code: 421, Message: "too busy"}
	}
	return &conversation{relay: r, conn: c}, nil
}

// letters returns what was taken, for one recipient or "" for all.
func (r *relay) letters(to string) (letters []letter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.taken {
		if to == "" || l.to == to {
			letters = append(letters, l)
		}
	}
	return letters
}

type conversation struct {
	relay *relay
	conn  *smtp.Conn
	to    string
	mood  string
}

func (c *conversation) Mail(string, *smtp.MailOptions) error { return nil }

func (c *conversation) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.to = to
	c.relay.mu.Lock()
	c.relay.open++
	c.relay.most = max(c.relay.most, c.relay.open)
	if moods := c.relay.moods[to]; len(moods) > 0 {
		c.mood, c.relay.moods[to] = moods[0], moods[1:]
	}
	c.relay.mu.Unlock()
	err := c.refusal("rcpt")
	if err != nil {
		c.over()
	}
	return err
}

// over counts an e-mail out, before its sender hears what became of it.
func (c *conversation) over() {
	c.relay.mu.Lock()
	defer c.relay.mu.Unlock()
	c.relay.open--
}

func (c *conversation) Data(r io.Reader) error {
	defer c.over()
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := c.refusal("data"); err != nil {
		return err
	}
	if c.mood == "hang" {
		c.relay.hanging <- c.to
		<-c.relay.release
		return nil
	}
	c.relay.mu.Lock()
	c.relay.taken = append(c.relay.taken, letter{c.to, raw})
	c.relay.mu.Unlock()
	if c.mood == "hang up" {
		return c.conn.Conn().Close()
	}
	return nil
}

// refusal is what the mood "CODE STAGE" comes to, at its stage.
func (c *conversation) refusal(stage string) error {
	code, at, _ := strings.Cut(c.mood, " ")
	n, err := strconv.Atoi(code)
	if err != nil || at != stage {
		return nil
	}
	return &smtp.SMTPError{Code: n, EnhancedCode: smtp.EnhancedCode{n / 100, 2, 1}, Message: fmt.Sprintf("<%s> is not in this mood", c.to)}
}

func (c *conversation) Reset() {}

func (c *conversation) Logout() error { return nil }

// plain is an outlet to the relay without TLS.
func (r *relay) plain() *SMTP {
	s, err := NewSMTP(r.address, TLSPlain, "", "")
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// ids are the Message-IDs of letters, each once.
func ids(t *testing.T, letters []letter) (ids []string) {
	t.Helper()
	for _, l := range letters {
		ids = append(ids, l.read(t).Header.Get("Message-ID"))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
