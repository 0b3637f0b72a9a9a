package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"stockflow/machines/notification"
	"stockflow/stockflowtest"
	"stockflow/views"
)

// relayed are the flags for e-mails to that relay.
func relayed(r *stockflowtest.Relay) mailFlags {
	return mailFlags{SMTP: r.Address, SMTPTLS: "none", MailFrom: "shop@example.org"}
}

// untilTaken waits until a relay has taken that many different e-mails.
func untilTaken(t *testing.T, r *stockflowtest.Relay, want int) {
	t.Helper()
	patience, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	if !r.Wait(want, patience.Done()) {
		t.Fatalf("%d of %d e-mails have come", len(r.Counts()), want)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	if met(row) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	if _, err := watch.Until(ctx, met); err != nil {
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
	var first *stockflowtest.Process
	relay := stockflowtest.NewRelay(t, func(n int) error {
		<-gate
		if n == 20 {
			first.Kill()
		}
		return nil
	})
	first = spawn(t, append([]string{"serve", "--http", "127.0.0.1:0", "--data", dir}, relay.Flags()...)...)
	client := ready(t, first)
	client.want("POST", lampPath+"/receipts", `{"quantity":1000}`, 200)
	for i := range orders {
		client.want("POST", "/v1/orders", mailed(fmt.Sprint("o-", i)), 201, `"confirmed"`)
	}
	close(gate)
	first.Exit()
	if len(relay.Counts()) == orders {
		t.Fatal("the kill came too late")
	}

	second, _ := start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Mail: relayed(relay)})
	untilTaken(t, relay, orders)
	for i := range orders {
		untilMail(t, second, fmt.Sprint("o-", i), notification.Confirmed, notification.StatusSent)
	}
	different, repeats := len(relay.Counts()), relay.Repeats()
	if different != orders || repeats > inFlight {
		t.Errorf("%d of %d e-mails have come, and %d repeats", different, orders, repeats)
	}
	halt(t, second)

	third, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Mail: relayed(relay)})
	client.want("POST", "/v1/orders", mailed("o-last"), 201)
	untilMail(t, third, "o-last", notification.Confirmed, notification.StatusSent)
	if now, again := len(relay.Counts()), relay.Repeats(); now != orders+1 || again != repeats {
		t.Errorf("after another start there are %d e-mails and %d repeats", now, again)
	}
	t.Logf("%d repeats", repeats)
}

// TestAnEMailThatWasRefusedIsSentOnDemand, and what a mail server says holds up neither stock nor shipments.
func TestAnEMailThatWasRefusedIsSentOnDemand(t *testing.T) {
	t.Parallel()
	hang, again := make(chan struct{}), make(chan struct{})
	relay := stockflowtest.NewRelay(t, func(n int) error {
		switch n {
		case 1:
			return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no e-mail today"}
		case 2:
			<-hang
		case 4:
			<-again
		}
		return nil
	})
	server, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 8, Mail: relayed(relay)})
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

	if a := client.send("POST", "/v1/notifications/o-1/confirmed/resend", ""); a.status != 200 && a.status != 202 {
		t.Errorf("a resend is answered with %d %s", a.status, a.text)
	}
	client.until("/v1/notifications/o-1", `"kind":"confirmed","status":"queued"`)
	close(again)
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
