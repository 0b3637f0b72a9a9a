package mail

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"stockflow/machines/notification"
)

func TestAnAddressIsTakenOutOfWhateverAServerSays(t *testing.T) {
	for _, c := range []struct{ address, text, want string }{
		{"ada@example.org", "550 5.1.1 <ada@example.org>: no such user", "550 5.1.1 <[address]>: no such user"},
		{"ada@example.org", "550 ADA@Example.org rejected", "550 [address] rejected"},
		{"ada@example.org", "550 User ada unknown, Ada", "550 User [address] unknown, [address]"},
		{"ada@example.org", "550 ada, ada,ada: Adamant, nevada", "550 [address], [address],[address]: Adamant, nevada"},
		{"ada+shop@example.org", "550 mailbox ada is full", "550 mailbox [address] is full"},
		{"ada@example.org", "550 rfc822;ada.lovelace@inner.example.org", "550 rfc822;[address]"},
		{"ada@example.org", "550 bounce-ada=40example.org@lists", "550 [address]"},
		{"ada@example.org", "550 SRS0=ada+40example.org https://x.org/?to=ada%40example.org", "550 [address] https:[address]"},
		{"ada@example.org", "452 try again in 5 minutes", "452 try again in 5 minutes"},
		{"address@example.org", "550 address@example.org: address", "550 [[address]]: [address]"},
		{"é@example.org", "550 é, été", "550 [address], été"},
		{"e", "550 the e-mail", "550 the [address]-mail"},
		{"", "550 ada@example.org", "550 [address]"},
	} {
		if got := redact(c.text, c.address); got != c.want {
			t.Errorf("%q, to %q, is %q, expected %q", c.text, c.address, got, c.want)
		}
	}
}

func TestARefusalThatIsRedactedStaysOne(t *testing.T) {
	long := strings.Repeat("x", notification.MaxReason-5) + " ada@example.org"
	var refused *Refused
	if err := redactError(&Refused{Reason: long}, "ada@example.org"); !errors.As(err, &refused) || strings.Contains(refused.Reason, "ada") {
		t.Errorf("it is %v", err)
	}
	if err := redactError(errors.New("450 ada"), "ada@example.org"); errors.As(err, &refused) && err.Error() != "450 [address]" {
		t.Errorf("it is %v", err)
	}
	if err := redactError(nil, "ada@example.org"); err != nil {
		t.Errorf("it is %v", err)
	}
}

// TestTheLogHasNoAddresses, whatever the mail server does and whatever stands in the place of an address.
func TestTheLogHasNoAddresses(t *testing.T) {
	relay, office := newRelay(t), newOffice(t)
	for _, moods := range [][]string{{"450 rcpt", "554 data"}, {"550 rcpt"}, {"452 data", "hang up"}} {
		relay.moody("ada.lovelace@example.org", moods...)
		var log bytes.Buffer
		sender := office.sender(relay.plain())
		sender.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		stop := run(t, sender)
		order := strings.ReplaceAll(strings.Join(moods, "-"), " ", "-")
		office.ask(order, to(notification.Confirmed, "ada.lovelace@example.org"))
		office.ask("bad-"+order, to(notification.Confirmed, "ada.lovelace at example.org"))
		office.settled()
		stop()
		if !strings.Contains(log.String(), "order=bad-"+order) || !strings.Contains(log.String(), "order="+order) {
			t.Errorf("%s: the log doesn't say what happened:\n%s", moods, &log)
		}
		failures := office.mail(order, notification.Confirmed).Failure + office.mail("bad-"+order, notification.Confirmed).Failure
		if said := strings.ToLower(log.String() + failures); strings.Contains(said, "lovelace") || strings.Contains(said, "@") {
			t.Errorf("%s: an address is in\n%s%s", moods, &log, failures)
		}
	}
}
