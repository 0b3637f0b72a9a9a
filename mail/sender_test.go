package mail

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"stockflow/codecs"
	"stockflow/machines/notification"
	"stockflow/views"
)

func TestEveryEMailGoesOutInTheEnd(t *testing.T) {
	relay, office := newRelay(t), newOffice(t)
	relay.turnAway = 3
	relay.moody("full@example.org", "452 rcpt", "421 data", "452 data")
	relay.moody("gone@example.org", "554 rcpt")
	relay.moody("spam@example.org", "451 rcpt", "554 data")
	relay.moody("line@example.org", "hang up")
	relay.moody("slow@example.org", strings.Split(strings.Repeat("450 rcpt,", 3*maxAttempts), ",")...)
	for _, who := range []string{"full", "gone", "spam", "line", "slow", "fine"} {
		office.ask("o-"+who, to(notification.Confirmed, who+"@example.org"))
	}
	run(t, office.sender(relay.plain()))
	office.ask("o-late", to(notification.Confirmed, "late@example.org"))
	office.settled()

	for order, want := range map[string]string{
		"o-full": "sent, 1 letter", "o-fine": "sent, 1 letter", "o-late": "sent, 1 letter", "o-slow": "sent, 1 letter",
		"o-gone": "failed: 554 5.2.1 <[address]> is not in this mood, 0 letters",
		"o-spam": "failed: 554 5.2.1 <[address]> is not in this mood, 0 letters",
		"o-line": "sent, 2 letters", // the first was taken, and nobody was told
	} {
		m := office.mail(order, notification.Confirmed)
		letters := relay.letters(m.Email)
		got := m.Status.String()
		if m.Failure != "" {
			got += ": " + m.Failure
		}
		if got += fmt.Sprintf(", %d letters", len(letters)); len(letters) == 1 {
			got = strings.TrimSuffix(got, "s")
		}
		if got != want {
			t.Errorf("%s is %s, expected %s", order, got, want)
		}
		if n := len(ids(t, letters)); len(letters) > 0 && n != 1 {
			t.Errorf("the letters of %s have %d Message-IDs", order, n)
		}
	}
}

func TestAFailedEMailIsSentAgain(t *testing.T) {
	relay, office := newRelay(t), newOffice(t)
	relay.moody("ada@example.org", "550 rcpt")
	run(t, office.sender(relay.plain()))
	office.ask("o-1", to(notification.Shipped, "ada@example.org"))
	office.settled()
	if m := office.mail("o-1", notification.Shipped); m.Status != notification.StatusFailed || m.Attempts != 1 {
		t.Errorf("it is %+v", m)
	}
	office.fold("o-1", notification.Resend{Kind: notification.Shipped})
	office.settled()
	if m := office.mail("o-1", notification.Shipped); m.Status != notification.StatusSent || m.Round != 2 {
		t.Errorf("after the resend it is %+v", m)
	}
}

// hangable lets the test break off a conversation that hangs, as its time-out does.
type hangable struct {
	Outlet
	breakOff chan struct{}
}

func (h hangable) Send(ctx context.Context, l Email) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if l.To.Address == "hang@example.org" {
		go func() {
			select {
			case <-h.breakOff:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return h.Outlet.Send(ctx, l)
}

func TestAnEMailThatHangsHoldsUpNoOther(t *testing.T) {
	relay, office := newRelay(t), newOffice(t)
	relay.moody("hang@example.org", "hang")
	breakOff := make(chan struct{})
	run(t, office.sender(hangable{relay.plain(), breakOff}))
	office.ask("o-hang", to(notification.Confirmed, "hang@example.org"))
	arrive(t, relay.hanging)
	for i := range 100 {
		office.ask(fmt.Sprint("o-", i), to(notification.Confirmed, fmt.Sprint(i, "@example.org")))
	}
	office.until(func(rows map[string]views.Row[notification.State]) bool {
		queued := 0
		for _, row := range rows {
			if row.State.Has(notification.StatusQueued) {
				queued++
			}
		}
		return queued == 1
	})
	relay.mu.Lock()
	if relay.most > maxFlights {
		t.Errorf("%d e-mails at once", relay.most)
	}
	relay.mu.Unlock()
	breakOff <- struct{}{}
	office.settled()
	if n := len(relay.letters("")); n != 101 {
		t.Errorf("%d letters were taken", n)
	}
}

// An order's e-mails go out in the order in which they were asked for, however moody the server is.
func TestNobodyHearsOfAParcelBeforeTheConfirmation(t *testing.T) {
	relay, office := newRelay(t), newOffice(t)
	relay.moody("ada@example.org", "451 data", "451 rcpt")
	office.ask("o-1", to(notification.Confirmed, "ada@example.org"))
	office.ask("o-1", to(notification.Shipped, "ada@example.org"))
	run(t, office.sender(relay.plain()))
	office.settled()
	var subjects []string
	for _, l := range relay.letters("") {
		subjects = append(subjects, l.read(t).Header.Get("Subject"))
	}
	if want := "[Your order o-1 is confirmed Your order o-1 is on its way]"; fmt.Sprint(subjects) != want {
		t.Errorf("the letters are %v", subjects)
	}
}

// counter is an outlet that takes everything and counts.
type counter struct {
	mu    sync.Mutex // guards what follows
	taken map[string]int
}

func (c *counter) Send(_ context.Context, l Email) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken[l.ID]++
	return nil
}

// TestMoreThanCanBeRemembered: rows come in while nobody takes them, more than the backlog holds, and are found by a walk.
// Each goes out once, though both the walk and the backlog have most of them.
func TestMoreThanCanBeRemembered(t *testing.T) {
	office, outlet := newOffice(t), &counter{taken: map[string]int{}}
	sender := office.sender(outlet)
	sender.room = 100
	const orders = 1000
	for i := range orders {
		office.ask(fmt.Sprint("o-", i), to(notification.Confirmed, "ada@example.org"))
	}
	if len(sender.backlog) != sender.room {
		t.Errorf("%d keys are remembered", len(sender.backlog))
	}
	run(t, sender)
	office.settled()
	for id, n := range outlet.taken {
		if n != 1 {
			t.Fatalf("%s was sent %d times", id, n)
		}
	}
	if len(outlet.taken) != orders {
		t.Errorf("%d letters of %d", len(outlet.taken), orders)
	}
}

// TestOnlyTheOwnerSends: of four partitions two are another process's, until it dies.
func TestOnlyTheOwnerSends(t *testing.T) {
	office, outlet := newOffice(t), &counter{taken: map[string]int{}}
	office.owned = []int32{0, 2}
	for i := range 40 {
		office.ask(fmt.Sprint("o-", i), to(notification.Confirmed, "ada@example.org"))
	}
	sender := office.sender(outlet)
	run(t, sender)
	others := func(rows map[string]views.Row[notification.State]) bool {
		for key, row := range rows {
			if own := office.Partition(key)%2 == 0; own == row.State.Has(notification.StatusQueued) {
				return false
			}
		}
		return true
	}
	office.until(others)
	office.ask("o-more", to(notification.Confirmed, "ada@example.org"))
	office.own(0, 1, 2, 3)
	office.settled()
	if len(outlet.taken) != 41 {
		t.Errorf("%d letters", len(outlet.taken))
	}
}

// A table that is opened anew and a log that acknowledges nothing for a while delay e-mails, and repeat none.
func TestTroubleWithTheBrokerRepeatsNoEMail(t *testing.T) {
	office, outlet := newOffice(t), &counter{taken: map[string]int{}}
	office.unread, office.unheard = 20, 20
	for i := range 40 {
		office.ask(fmt.Sprint("o-", i), to(notification.Confirmed, "ada@example.org"))
	}
	run(t, office.sender(outlet))
	office.settled()
	for id, n := range outlet.taken {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}

// lagging is an outbox that shows old rows until it is told to show what there is.
type lagging struct {
	*office
	old   map[string]views.Row[notification.State]
	shown chan struct{} // closed when everything may be seen
}

func (l lagging) Get(key string) (views.Row[notification.State], error) {
	select {
	case <-l.shown:
		return l.office.Get(key)
	default:
		if row, ok := l.old[key]; ok {
			return row, nil
		}
		return views.Row[notification.State]{Head: codecs.Head{Applied: -1}}, nil
	}
}

// TestNothingIsSentBeforeTheTableHasWhatTheLogHad: a process that died had sent an e-mail and written so, and nobody has
// folded that yet when the next one begins.
func TestNothingIsSentBeforeTheTableHasWhatTheLogHad(t *testing.T) {
	office, outlet := newOffice(t), &counter{taken: map[string]int{}}
	office.ask("o-1", to(notification.Confirmed, "ada@example.org"))
	behind := lagging{office, maps.Clone(office.rows), make(chan struct{})}
	sender := office.sender(outlet)
	sender.Outbox = behind
	run(t, sender)
	office.until(func(rows map[string]views.Row[notification.State]) bool { return len(rows) == 1+partitions })
	office.fold("o-1", notification.Sent{Kind: notification.Confirmed, Round: 1, Attempts: 1})
	close(behind.shown)
	office.ask("o-2", to(notification.Confirmed, "ada@example.org"))
	office.tellAgain()
	office.settled()
	if len(outlet.taken) != 1 {
		t.Errorf("%v were sent, expected the e-mail of o-2", outlet.taken)
	}
}

// A stop lets an e-mail that is with the server come to its end, and says so in the log; so the next start repeats none.
func TestAStopRepeatsNoEMail(t *testing.T) {
	office := newOffice(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	outlet := outletFunc(func(ctx context.Context, l Email) error {
		close(begun)
		<-finish
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	sender := office.sender(outlet)
	go func() { ended <- sender.Run(ctx) }()
	office.ask("o-1", to(notification.Confirmed, "ada@example.org"))
	await(t, begun)
	cancel()
	close(finish)
	if err := arrive(t, ended); err != nil {
		t.Error(err)
	}
	if m := office.mail("o-1", notification.Confirmed); m.Status != notification.StatusSent {
		t.Errorf("it is %s after the stop", m.Status)
	}
}

type outletFunc func(context.Context, Email) error

func (f outletFunc) Send(ctx context.Context, l Email) error { return f(ctx, l) }

// What can never be sent fails at once, with a reason that names what is wrong.
func TestWhatCanNotBeWrittenFails(t *testing.T) {
	office := newOffice(t)
	office.ask("o-1", to(notification.Confirmed, "nobody"))
	office.ask("o-2", to(notification.Confirmed, "a@example.org, b@example.org"))
	office.ask("o-3", to(notification.Confirmed, "Eve <eve@example.org>"))
	run(t, office.sender(&counter{taken: map[string]int{}}))
	office.settled()
	for order, want := range map[string]string{"o-1": "must be an e-mail address, such", "o-2": "must be an e-mail address, such", "o-3": "must be an e-mail address alone"} {
		m := office.mail(order, notification.Confirmed)
		if m.Status != notification.StatusFailed || !strings.Contains(m.Failure, want) {
			t.Errorf("%s is %s: %s", order, m.Status, m.Failure)
		}
	}
}

func TestWhatIsQueuedIsCounted(t *testing.T) {
	office := newOffice(t)
	sender := office.sender(&counter{})
	office.ask("o-1", to(notification.Confirmed, "ada@example.org"))
	office.ask("o-1", to(notification.Shipped, "ada@example.org"))
	office.ask("o-2", to(notification.Confirmed, "ada@example.org"))
	office.fold("o-2", notification.Sent{Kind: notification.Confirmed, Round: 1, Attempts: 1})
	for _, b := range sender.begin(t.Context(), office.Owned()) {
		b.ready = true
	}
	if n := sender.count(t.Context()); n != 2 {
		t.Errorf("%d are queued", n)
	}
	office.own()
	if n := sender.count(t.Context()); n != 0 {
		t.Errorf("%d are queued in no partition", n)
	}
}
