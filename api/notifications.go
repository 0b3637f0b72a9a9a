package api

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"

	"stockflow/codecs"
	"stockflow/machines/notification"
	"stockflow/processors"
	"stockflow/views"
)

type notificationState = notification.State

func notificationResource(t *views.Tables) resource[notificationState] {
	return resource[notificationState]{
		table: t.Mails, log: processors.NotificationEvents, path: "/v1/notifications/", what: "notification",
		known:  func(s notification.State) bool { return len(s.Mails) > 0 },
		show:   func(id string, h codecs.Head, s notification.State) any { return showNotifications(id, h, s) },
		decode: codecs.DecodeNotificationRow,
	}
}

func (s *Server) notification(_ context.Context, id string) (reply, error) { return s.mails.get(id) }

func (s *Server) notificationAt(ctx context.Context, m moment) (reply, error) {
	return past(ctx, s, s.mails, m)
}

// resend answers requests to try a failed e-mail again.
func (s *Server) resend(ctx context.Context, c command) (reply, error) {
	return decide(ctx, s, s.mails, c, once)
}

func readResend(r *http.Request) (command, error) {
	kind, kindErr := codecs.ParseKind(mux.Vars(r)["kind"])
	id, err := readRow(r, "order_id", fields{}, func() error { return kindErr })
	if err != nil {
		return command{}, err
	}
	event := notification.Resend{Kind: kind}
	return command{output(processors.NotificationEvents, id, event, codecs.EncodeNotificationEvent), resent}, nil
}

// resent is how to find out about an e-mail that is to be tried again.
func resent(string) string {
	return "Look at GET /v1/notifications/{order_id} before you repeat it. The e-mail is sent once, however often this is asked."
}

// notificationRow is the e-mails of one order.
type notificationRow struct {
	OrderID string    `json:"order_id"`
	Mails   []mailRow `json:"mails"`
	Version int64     `json:"version"`
}

type mailRow struct {
	Kind     string `json:"kind"`
	Status   string `json:"status"`
	Email    string `json:"email"`
	Reason   string `json:"reason,omitempty"` // of a failure
	Attempts int64  `json:"attempts,omitempty"`
	Queued   string `json:"queued_at"`
	Since    string `json:"since"` // when it came to its status
}

func showNotifications(id string, head codecs.Head, s notification.State) notificationRow {
	row := notificationRow{OrderID: id, Mails: []mailRow{}, Version: head.Applied}
	for _, m := range s.Mails {
		row.Mails = append(row.Mails, mailRow{
			Kind: m.Kind.String(), Status: m.Status.String(), Email: m.Email, Reason: m.Failure,
			Attempts: m.Attempts, Queued: showTime(m.Asked), Since: showTime(m.Since),
		})
	}
	return row
}
