package cli

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/machines/notification"
	"stockflow/processors"
	"stockflow/stockflowtest"
)

// processLog is all that a server logs.
type processLog struct {
	mu      sync.Mutex // guards what follows
	text    strings.Builder
	written chan struct{} // closed, and replaced, by each Write
}

func newProcessLog() *processLog { return &processLog{written: make(chan struct{})} }

func (l *processLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.written)
	l.written = make(chan struct{})
	return l.text.Write(line)
}

// until waits until the log has a text, and returns all of it.
func (l *processLog) until(t *testing.T, want string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	for {
		l.mu.Lock()
		text, written := l.text.String(), l.written
		l.mu.Unlock()
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-written:
		case <-ctx.Done():
			t.Fatalf("the log doesn't say %q:\n%s", want, text)
		}
	}
}

// TestNoAddressIsLogged: a mail server quotes the customer's address in each refusal, an order from the log has one that doesn't
// parse, and a message that can't be read consists of one. All of it is logged, and the addresses are not.
func TestNoAddressIsLogged(t *testing.T) {
	t.Parallel()
	relay := stockflowtest.NewRelay(t, func(n int) error {
		switch n {
		case 1:
			return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<ada@example.org>: no mailbox of ada, see https://example.org/?to=ada%40example.org"}
		case 2:
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "ADA@EXAMPLE.ORG is greylisted"}
		}
		return nil
	})
	log := newProcessLog()
	serve := Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 2, Mail: relayed(relay)}
	server, err := serve.Start(t.Context(), slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(t, err)
	t.Cleanup(func() { halt(t, server) })
	must(t, server.WaitReady(t.Context()))
	client := newShop(t, server.HTTPAddr())

	client.want("POST", "/v1/orders", strings.Replace(mailed("o-bad"), "ada@example.org", "Ada <ada@example.org>", 1), 400, `"field":"customer.email"`)
	client.want("POST", "/v1/orders", mailed("o-1"), 201, `"rejected"`)
	untilMail(t, server, "o-1", notification.Rejected, notification.StatusFailed)
	client.want("GET", "/v1/notifications/o-1", "", 200, `"reason":"554 5.1.1 \u003c[address]\u003e: no mailbox of [address], see `)
	client.want("POST", "/v1/orders", mailed("o-2"), 201)
	untilMail(t, server, "o-2", notification.Rejected, notification.StatusSent)

	writer, err := server.Broker().Writer()
	must(t, err)
	defer writer.Close()
	must(t, writer.Write(t.Context(), placement("o-3", "lamp", "ada at example.org")))
	untilMail(t, server, "o-3", notification.Rejected, notification.StatusFailed)
	client.want("GET", "/v1/notifications/o-3", "", 200, `"email":"ada at example.org"`, `"reason":"the customer's e-mail: must be an e-mail address`)
	must(t, writer.Write(t.Context(), &kgo.Record{Topic: processors.OrderEvents, Key: []byte("o-4"), Value: []byte(`{"placed":{"customer":"ada@example.org"}}`)}))

	log.until(t, "a message became a dead letter")
	log.until(t, "will be tried again")
	text := log.until(t, "refused for good")
	for line := range strings.Lines(text) {
		if lower := strings.ToLower(line); strings.Contains(lower, "ada") || strings.Contains(lower, "example.org") {
			t.Errorf("an address is logged: %s", line)
		}
	}
}
