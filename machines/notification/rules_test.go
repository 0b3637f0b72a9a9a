package notification

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// row is a message and where the e-mails of the order stand after it, or "refused: reason" or "unfit: reason" before
// that. A story's rows follow one another on one order, a millisecond apart.
type row struct {
	event any
	want  string
}

var (
	confirmed = Notify{Kind: Confirmed, Name: "Ada", Email: "ada@example.org", Lines: []Line{{"lamp", 2, 2}}}
	shipped   = Notify{Kind: Shipped, Email: "ada@example.org", Lines: []Line{{"lamp", 2, 2}}, Carrier: "DHL"}
)

func TestAnEMailIsSentOnce(t *testing.T) {
	tell(t, []row{
		{confirmed, "confirmed queued 1 since 1 lines 1"},
		{Sent{Confirmed, 1, 2}, "confirmed sent 1 since 2 lines 0 tries 2"},
		{Sent{Confirmed, 1, 3}, "confirmed sent 1 since 2 lines 0 tries 2"},
		{Failed{Confirmed, 1, 9, "late"}, "confirmed sent 1 since 2 lines 0 tries 2"},
		{Resend{Confirmed}, "refused: not_failed | confirmed sent 1 since 2 lines 0 tries 2"},
		{shipped, "confirmed sent 1 since 2 lines 0 tries 2, shipped queued 1 since 6 lines 1"},
		{Sent{Shipped, 1, 1}, "confirmed sent 1 since 2 lines 0 tries 2, shipped sent 1 since 7 lines 0 tries 1"},
	})
}

func TestAFailedEMailIsSentAgainOnDemand(t *testing.T) {
	tell(t, []row{
		{confirmed, "confirmed queued 1 since 1 lines 1"},
		{Resend{Confirmed}, "refused: not_failed | confirmed queued 1 since 1 lines 1"},
		{Failed{Confirmed, 1, 3, "554 no"}, "confirmed failed 1 since 3 lines 1 tries 3: 554 no"},
		{Failed{Confirmed, 1, 4, "again"}, "confirmed failed 1 since 3 lines 1 tries 3: 554 no"},
		{Resend{Confirmed}, "confirmed queued 2 since 5 lines 1"},
		{Failed{Confirmed, 1, 3, "554 no"}, "confirmed queued 2 since 5 lines 1"},
		{Resend{Confirmed}, "refused: not_failed | confirmed queued 2 since 5 lines 1"},
		{Sent{Confirmed, 2, 1}, "confirmed sent 2 since 8 lines 0 tries 1"},
	})
}

// What the customer has is sent, whoever sent it: a failure of another process, or an earlier round, takes nothing back.
func TestSentIsStrongerThanFailed(t *testing.T) {
	tell(t, []row{
		{confirmed, "confirmed queued 1 since 1 lines 1"},
		{Failed{Confirmed, 1, 1, "no"}, "confirmed failed 1 since 2 lines 1 tries 1: no"},
		{Sent{Confirmed, 1, 2}, "confirmed sent 1 since 3 lines 0 tries 2"},
	})
	tell(t, []row{
		{confirmed, "confirmed queued 1 since 1 lines 1"},
		{Failed{Confirmed, 1, 1, "no"}, "confirmed failed 1 since 2 lines 1 tries 1: no"},
		{Resend{Confirmed}, "confirmed queued 2 since 3 lines 1"},
		{Sent{Confirmed, 1, 2}, "confirmed sent 2 since 4 lines 0 tries 2"},
	})
}

func TestWhatWasNeverAskedFor(t *testing.T) {
	tell(t, []row{
		{Sent{Confirmed, 1, 1}, "refused: unknown_notification | "},
		{Failed{Confirmed, 1, 1, "no"}, "refused: unknown_notification | "},
		{Resend{Confirmed}, "refused: unknown_notification | "},
		{confirmed, "confirmed queued 1 since 4 lines 1"},
		{Resend{Shipped}, "refused: unknown_notification | confirmed queued 1 since 4 lines 1"},
		{Begin{}, "confirmed queued 1 since 4 lines 1"},
		{confirmed, `unfit: a second Notify of kind confirmed for order "o1", expected one | confirmed queued 1 since 4 lines 1`},
		{nil, "unfit: a message of type <nil>, expected a Notify, Sent, Failed, Resend or Begin | confirmed queued 1 since 4 lines 1"},
	})
	for _, rules := range []uint32{0, RulesVersion + 1, math.MaxUint32} {
		got := Apply(State{}, Message{OrderID: "o1", RulesVersion: rules, Event: confirmed})
		if want := fmt.Sprintf("rules number %d, expected 1", rules); got.Inapplicable != want || got.State.Mails != nil {
			t.Errorf("rules %d: %+v", rules, got)
		}
	}
}

// The row stays small, however long the order is, and says how much it leaves out.
func TestAnEMailShowsAFewLines(t *testing.T) {
	for _, c := range []struct{ lines, shown, more int }{{0, 0, 0}, {20, 20, 0}, {21, 20, 1}, {1200, 20, 1180}} {
		n := confirmed
		n.Lines = slices.Repeat([]Line{{"lamp", 1, 1}}, c.lines)
		m, _ := Apply(State{}, Message{OrderID: "o1", RulesVersion: RulesVersion, Event: n}).State.Find(Confirmed)
		if len(m.Lines) != c.shown || m.More != int64(c.more) {
			t.Errorf("of %d lines %d are shown and %d are more", c.lines, len(m.Lines), m.More)
		}
	}
}

func TestKindsAndStatusesHaveNames(t *testing.T) {
	for _, k := range Kinds {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("%s is read as %s", k, got)
		}
	}
	if k, ok := ParseKind(""); ok {
		t.Errorf("no name is %d", k)
	}
}

func tell(t *testing.T, story []row) {
	t.Helper()
	var s State
	for i, r := range story {
		res := Apply(s, Message{OrderID: "o1", At: int64(i + 1), RulesVersion: RulesVersion, Event: r.event})
		s = res.State
		if got := said(res); got != r.want {
			t.Errorf("message %d, %+v:\n got %s\nwant %s", i+1, r.event, got, r.want)
		}
	}
}

func said(r Result) string {
	var mails []string
	for _, m := range r.State.Mails {
		text := fmt.Sprintf("%s %s %d since %d lines %d", m.Kind, m.Status, m.Round, m.Since, len(m.Lines))
		if m.Attempts > 0 {
			text += fmt.Sprintf(" tries %d", m.Attempts)
		}
		if m.Failure != "" {
			text += ": " + m.Failure
		}
		mails = append(mails, text)
	}
	text := strings.Join(mails, ", ")
	switch {
	case r.Refusal != "":
		return "refused: " + r.Refusal + " | " + text
	case r.Inapplicable != "":
		return "unfit: " + r.Inapplicable + " | " + text
	}
	return text
}

// TestAnyLog folds random messages: the row before stays as it was, what is sent stays sent, an e-mail leaves the outbox
// only by an outcome, and comes back only by a resend.
func TestAnyLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s State
		for at := range int64(rapid.IntRange(0, 40).Draw(t, "messages")) {
			m := Message{OrderID: "o1", At: at, RulesVersion: RulesVersion, Event: anyEvent(t)}
			before := State{Mails: slices.Clone(s.Mails)}
			res := Apply(s, m)
			if len(s.Mails) > 0 && !reflect.DeepEqual(before, s) {
				t.Fatalf("%+v changed the row before: %+v, was %+v", m.Event, s, before)
			}
			check(t, before, res, m.Event)
			s = res.State
		}
	})
}

func anyEvent(t *rapid.T) any {
	kind := rapid.SampledFrom(Kinds[:2]).Draw(t, "kind")
	round := int64(rapid.IntRange(1, 3).Draw(t, "round"))
	return rapid.SampledFrom([]any{
		Notify{Kind: kind, Lines: []Line{{"lamp", 1, 1}}}, Sent{kind, round, 1}, Failed{kind, round, 1, "no"}, Resend{kind},
	}).Draw(t, "event")
}

func check(t *rapid.T, before State, res Result, event any) {
	if (res.Refusal != "" || res.Inapplicable != "") && !reflect.DeepEqual(before.Mails, slices.Clone(res.State.Mails)) {
		t.Fatalf("%+v was not taken and changed the row", event)
	}
	for _, was := range before.Mails {
		now, found := res.State.Find(was.Kind)
		_, resent := event.(Resend)
		switch {
		case !found:
			t.Fatalf("%+v lost an e-mail", event)
		case was.Status == StatusSent && now.Status != StatusSent:
			t.Fatalf("%+v took back what was sent", event)
		case was.Status != StatusQueued && now.Status == StatusQueued && !resent:
			t.Fatalf("%+v queued an e-mail again", event)
		case now.Round != was.Round && !resent:
			t.Fatalf("%+v began another round", event)
		}
	}
}
