package cli

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"stockflow/processors/notification"
	"stockflow/views"
)

// relay is a mail server in this process. It is its own session: the tests send one e-mail a connection.
type relay struct {
	address string
	onMail  func(n int) error // is called with the number of the e-mail when it was read, before it is acknowledged

	mu    sync.Mutex     // guards what follows
	n     int            // e-mails
	taken map[string]int // by Message-ID
	came  chan struct{}  // closed, and replaced, with every e-mail
}

func newRelay(t *testing.T, onMail func(n int) error) *relay {
	t.Helper()
	r := &relay{onMail: onMail, taken: map[string]int{}, came: make(chan struct{})}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return r, nil }))
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

func (r *relay) Mail(string, *smtp.MailOptions) error { return nil }
func (r *relay) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (r *relay) Reset()                               {}
func (r *relay) Logout() error                        { return nil }

func (r *relay) Data(body io.Reader) error {
	m, err := mail.ReadMessage(body)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, m.Body); err != nil {
		return err
	}
	r.mu.Lock()
	r.n++
	n := r.n
	r.mu.Unlock()
	if err := r.onMail(n); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken[m.Header.Get("Message-ID")]++
	close(r.came)
	r.came = make(chan struct{})
	return nil
}

// counts returns how many e-mails there are, and how many of them are repeats.
func (r *relay) counts() (different, repeats int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.taken {
		repeats += n - 1
	}
	return len(r.taken), repeats
}

// wait returns when that many different e-mails were taken.
func (r *relay) wait(t *testing.T, want int) {
	t.Helper()
	for {
		r.mu.Lock()
		n, came := len(r.taken), r.came
		r.mu.Unlock()
		if n >= want {
			return
		}
		select {
		case <-came:
		case <-time.After(generous):
			t.Fatalf("%d of %d e-mails have come", n, want)
		}
	}
}

func (r *relay) flags() mailFlags {
	return mailFlags{SMTP: r.address, SMTPTLS: "none", MailFrom: "shop@example.org"}
}

// mailed is an order of a customer with an address.
func mailed(id string) string {
	return `{"order_id":"` + id + `","customer":{"id":"c-1","name":"Ada","email":"ada@example.org"},"lines":[{"sku":"lamp","quantity":1}]}`
}

// untilMail waits until an e-mail stands there.
func untilMail(t *testing.T, s *Server, order string, k notification.Kind, status notification.Status) {
	t.Helper()
	met := func(row views.Row[notification.State]) bool {
		m, _ := row.State.Find(k)
		return m.Status == status
	}
	watch, err := s.tables.Mails.Watch(order)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	row, err := s.tables.Mails.Get(order)
	if err != nil || met(row) {
		return
	}
	if _, err := watch.Until(t.Context(), met); err != nil {
		t.Errorf("the e-mail %s of %s is not %s: %v", k, order, status, err)
	}
}

// inFlight is how many e-mails a sender has with the server at once, which is what a kill may repeat.
const inFlight = 8

// TestAKillLosesNoEMail kills the server while it sends: the mail server has read some e-mails and acknowledged none
// of these. The next process sends the rest, and those again, with the same Message-ID; a third sends none.
func TestAKillLosesNoEMail(t *testing.T) {
	t.Parallel()
	const orders = 40
	dir := t.TempDir()
	gate := make(chan struct{})
	var first *process
	relay := newRelay(t, func(n int) error {
		<-gate
		if n == 20 {
			first.kill()
		}
		return nil
	})
	first = spawn(t, "serve", "--http", "127.0.0.1:0", "--data", dir,
		"--smtp", relay.address, "--smtp-tls", "none", "--mail-from", "shop@example.org")
	client := first.ready()
	client.want("POST", lampPath+"/receipts", `{"quantity":1000}`, 200)
	for i := range orders {
		client.want("POST", "/v1/orders", mailed(fmt.Sprint("o-", i)), 201, `"confirmed"`)
	}
	close(gate)
	first.exit()
	if different, _ := relay.counts(); different == orders {
		t.Fatal("the kill came too late")
	}

	second, _ := start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Mail: relay.flags()})
	relay.wait(t, orders)
	for i := range orders {
		untilMail(t, second, fmt.Sprint("o-", i), notification.Confirmed, notification.StatusSent)
	}
	different, repeats := relay.counts()
	if different != orders || repeats > inFlight {
		t.Errorf("%d of %d e-mails have come, and %d repeats", different, orders, repeats)
	}
	halt(t, second)

	third, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Mail: relay.flags()})
	client.want("POST", "/v1/orders", mailed("o-last"), 201)
	untilMail(t, third, "o-last", notification.Confirmed, notification.StatusSent)
	if now, again := relay.counts(); now != orders+1 || again != repeats {
		t.Errorf("after another start there are %d e-mails and %d repeats", now, again)
	}
	t.Logf("%d repeats", repeats)
}

// TestAnEMailThatWasRefusedIsSentOnDemand, and what a mail server says holds up neither stock nor shipments.
func TestAnEMailThatWasRefusedIsSentOnDemand(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	relay := newRelay(t, func(n int) error {
		switch n {
		case 1:
			return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no e-mail today"}
		case 2:
			<-hang
		}
		return nil
	})
	server, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 8, Mail: relay.flags()})
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	client.want("POST", "/v1/orders", mailed("o-1"), 201, `"confirmed"`)
	untilMail(t, server, "o-1", notification.Confirmed, notification.StatusFailed)
	const failed = `"kind":"confirmed","status":"failed","email":"ada@example.org","reason":"554 5.7.1 no e-mail today","attempts":1`
	client.want("GET", "/v1/notifications/o-1", "", 200, `"order_id":"o-1"`, failed)
	client.want("GET", "/v1/notifications?status=failed", "", 200, `{"items":[{"order_id":"o-1"`, failed)
	client.want("GET", "/v1/notifications?status=sent", "", 200, `{"items":[]`)

	client.want("POST", parcelPath+"/dispatch", dhl, 200) // the e-mail about it hangs
	client.want("POST", parcelPath+"/deliver", "{}", 200)
	newQuiet(t, server).wait(t)
	client.wantStock("lamp", 4, 0)
	client.want("GET", orderPath, "", 200, `"status":"delivered"`)
	client.want("POST", "/v1/notifications/o-1/shipped/resend", "", 409, `"not_failed"`)
	close(hang)
	untilMail(t, server, "o-1", notification.Delivered, notification.StatusSent)

	client.want("POST", "/v1/notifications/o-1/confirmed/resend", "", 200, `"kind":"confirmed","status":"queued"`)
	untilMail(t, server, "o-1", notification.Confirmed, notification.StatusSent)
	client.want("GET", "/v1/notifications?status=failed", "", 200, `{"items":[]`)
	client.want("POST", "/v1/notifications/o-1/rejected/resend", "", 404, "unknown_notification")
	client.want("POST", "/v1/notifications/o-2/rejected/resend", "", 404, "unknown_notification")
	client.want("POST", "/v1/notifications/o-1/lost/resend", "", 400, `"field":"kind"`)
	client.want("GET", "/v1/notifications?status=lost", "", 400, `"field":"status"`)
	client.want("GET", "/v1/notifications/o-2", "", 404)
}

// TestWithoutAMailServerEMailsAreFiles, whose names hold what an order id may hold.
func TestWithoutAMailServerEMailsAreFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, client := open(t, dir)
	client.want("POST", "/v1/orders", mailed("o/1"), 400)
	client.want("POST", "/v1/orders", mailed("o 1"), 201, `"rejected"`)
	untilMail(t, server, "o 1", notification.Rejected, notification.StatusSent)
	text, err := os.ReadFile(filepath.Join(dir, "outbox", "o%201.rejected.eml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil || m.Header.Get("To") != `"Ada" <ada@example.org>` || m.Header.Get("Subject") != "Your order o 1 could not be taken" {
		t.Errorf("the file is %s, %v", text, err)
	}
}

// TestSettingsOfMailThatCanNotWorkAreNamed, before anything is begun.
func TestSettingsOfMailThatCanNotWorkAreNamed(t *testing.T) {
	dir := t.TempDir()
	empty, broken := filepath.Join(dir, "empty"), filepath.Join(dir, "templates")
	if err := os.WriteFile(empty, []byte("\nsecret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "shipped.txt"), []byte("Subject: x\n{{.Price}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	smtp := "--smtp=mail.example.org --mail-from=shop@example.org "
	for _, c := range []struct{ args, want string }{
		{"--smtp=mail.example.org", "--mail-from is missing"},
		{"--smtp-user=ada", "--smtp is missing"},
		{"--smtp-tls=none", "--smtp is missing"},
		{"--mail-from=shop", "--mail-from: "},
		{"--smtp=:x --mail-from=shop@example.org", `--smtp: "x" is not a port`},
		{smtp + "--smtp-user=ada", "--smtp-user and --smtp-password-file must be given together"},
		{smtp + "--smtp-user=ada --smtp-password-file=" + empty, "--smtp-password-file: "},
		{smtp + "--smtp-user=ada --smtp-password-file=nowhere", "--smtp-password-file: open nowhere"},
		{"--mail-templates=" + broken, "--mail-templates: template: shipped.txt:2"},
		{"--mail-templates=nowhere", "--mail-templates: open nowhere"},
	} {
		var stdout, stderr strings.Builder
		args := append([]string{"serve", "--http=127.0.0.1:0", "--data=" + filepath.Join(dir, "data")}, strings.Fields(c.args)...)
		if code := run(args, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("serve %s ends with %d and %q", c.args, code, stderr.String())
		}
	}
}
