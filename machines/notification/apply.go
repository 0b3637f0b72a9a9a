package notification

import (
	"fmt"
	"slices"
)

// RulesVersion is the highest number of rules that Apply knows.
const RulesVersion = 1

// Apply folds a message into the row of its order. It is pure: equal rows and messages give equal results,
// and what s refers to stays as it was. It never panics on a valid message, in whatever state the row is.
//
// It sends nothing, no e-mail either. Whoever sends e-mails reads the table and writes to the log what became of
// them, so a replay of the log sends none.
func Apply(s State, m Message) Result {
	t := step{id: m.OrderID, at: m.At, row: s}
	if m.RulesVersion == RulesVersion {
		t.take(m.Event)
	} else {
		t.reject("rules number %d, expected %d", m.RulesVersion, RulesVersion)
	}
	if t.refusal != "" || t.unfit != "" {
		return Result{State: s, Refusal: t.refusal, Inapplicable: t.unfit}
	}
	return Result{State: t.row}
}

// step is one message on its way into a row. It lives for one Apply, which owns it.
type step struct {
	id string
	at int64

	row State // its slices are shared with the row before

	refusal, unfit string // at most one is set, and then row counts for nothing
}

// take hands an event to its rule, one for each type of the vocabulary.
func (t *step) take(event any) {
	switch e := event.(type) {
	case Notify:
		t.queue(e)
	case Sent:
		t.sent(e)
	case Failed:
		t.failed(e)
	case Resend:
		t.resend(e)
	case Begin:
	default:
		t.reject("a message of type %T, expected a Notify, Sent, Failed, Resend or Begin", event)
	}
}

// queue puts an e-mail into the outbox. An order comes to each status once, so a second one of a kind is a mistake.
func (t *step) queue(n Notify) {
	if _, known := t.row.Find(n.Kind); known {
		t.reject("a second Notify of kind %s for order %q, expected one", n.Kind, t.id)
		return
	}
	m := Mail{Notify: n, Status: StatusQueued, Round: 1, Asked: t.at, Since: t.at}
	if more := len(n.Lines) - ShownLines; more > 0 {
		m.Lines, m.More = n.Lines[:ShownLines:ShownLines], int64(more)
	}
	t.row.Mails = append(slices.Clip(t.row.Mails), m)
}

// sent takes an e-mail out of the outbox, in whichever round it was sent: the customer has it. What it said isn't
// needed any more, and the row gets small. Said once more, as after a crash, it changes nothing.
func (t *step) sent(e Sent) {
	m := t.mail(e.Kind)
	if m == nil || m.Status == StatusSent {
		return
	}
	m.Status, m.Since = StatusSent, t.at
	m.Attempts, m.Failure = e.Attempts, ""
	m.Lines = nil
}

// failed gives an e-mail up. The failure of an earlier round, written once more after a crash, says nothing about the
// round that runs; and what was sent, by another process, hasn't failed.
func (t *step) failed(e Failed) {
	m := t.mail(e.Kind)
	if m == nil || m.Status != StatusQueued || m.Round != e.Round {
		return
	}
	m.Status, m.Since = StatusFailed, t.at
	m.Attempts, m.Failure = e.Attempts, e.Reason
}

// resend puts a failed e-mail back into the outbox, for another round.
func (t *step) resend(e Resend) {
	m := t.mail(e.Kind)
	if m == nil {
		return
	}
	if m.Status != StatusFailed {
		t.refusal = RefusalNotFailed
		return
	}
	m.Status, m.Since = StatusQueued, t.at
	m.Round++
	m.Attempts, m.Failure = 0, ""
}

// mail returns the e-mail of a kind, to be changed. Without one it refuses the message and returns nil.
func (t *step) mail(k Kind) *Mail {
	i := slices.IndexFunc(t.row.Mails, func(m Mail) bool { return m.Kind == k })
	if i < 0 {
		t.refusal = RefusalUnknown
		return nil
	}
	t.row.Mails = slices.Clone(t.row.Mails)
	return &t.row.Mails[i]
}

// reject says why no rule can take the message.
func (t *step) reject(format string, args ...any) { t.unfit = fmt.Sprintf(format, args...) }
