package codecs

import (
	"fmt"

	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
)

// DecodeNotificationEvent reads a value of notification-events.
func DecodeNotificationEvent(value []byte) (Decoded, error) {
	return decode(value, notificationEvent)
}

// EncodeNotificationEvent returns the name and the value of an event of notification-events. The key is not in
// the value. It panics if event is not one of those that notification.Message lists.
func EncodeNotificationEvent(event any) (name string, value []byte) {
	var m wire.NotificationEvent
	switch e := event.(type) {
	case notification.Notify:
		notify := &wire.Notify{}
		wireNotify(notify, e)
		name, m.Event = "notify", &wire.NotificationEvent_Notify{Notify: notify}
	case notification.Sent:
		name, m.Event = "sent", &wire.NotificationEvent_Sent{Sent: &wire.MailSent{
			Kind: e.Kind.String(), Round: e.Round, Attempts: e.Attempts}}
	case notification.Failed:
		name, m.Event = "failed", &wire.NotificationEvent_Failed{Failed: &wire.MailFailed{
			Kind: e.Kind.String(), Round: e.Round, Attempts: e.Attempts, Reason: e.Reason}}
	case notification.Resend:
		name, m.Event = "resend", &wire.NotificationEvent_Resend{Resend: &wire.ResendMail{Kind: e.Kind.String()}}
	case notification.Begin:
		name, m.Event = "begin", &wire.NotificationEvent_Begin{Begin: &wire.BeginMails{}}
	default:
		panic(notOfTheLog("notification-events", event))
	}
	return name, mustMarshal(&m)
}

func notificationEvent(m *wire.NotificationEvent) (Decoded, Invalid) {
	switch e := m.Event.(type) {
	case *wire.NotificationEvent_Notify:
		event := notifyOf(e.Notify)
		return emitted("notify", event, append(kindInvalid(e.Notify.Kind), notifyInvalid(event)...))
	case *wire.NotificationEvent_Sent:
		kind, invalid := namedKind(e.Sent.Kind)
		event := notification.Sent{Kind: kind, Round: e.Sent.Round, Attempts: e.Sent.Attempts}
		invalid = append(invalid, triesInvalid(event.Round, event.Attempts)...)
		return written("sent", "order_id", e.Sent.OrderId, event, invalid)
	case *wire.NotificationEvent_Failed:
		kind, invalid := namedKind(e.Failed.Kind)
		event := notification.Failed{Kind: kind, Round: e.Failed.Round, Attempts: e.Failed.Attempts, Reason: e.Failed.Reason}
		invalid = append(invalid, triesInvalid(event.Round, event.Attempts)...)
		invalid.add("reason", textProblem(event.Reason, notification.MaxReason))
		return written("failed", "order_id", e.Failed.OrderId, event, invalid)
	case *wire.NotificationEvent_Resend:
		kind, invalid := namedKind(e.Resend.Kind)
		return written("resend", "order_id", e.Resend.OrderId, notification.Resend{Kind: kind}, invalid)
	case *wire.NotificationEvent_Begin:
		return Decoded{Type: "begin", Event: notification.Begin{}}, nil
	}
	return noEvent("sent, failed, resend, begin")
}

// maxTries is more rounds and attempts than there is time for.
const maxTries = 1_000_000_000

func triesInvalid(round, attempts int64) (v Invalid) {
	v.add("round", rangeProblem(round, 1, maxTries))
	v.add("attempts", rangeProblem(attempts, 1, maxTries))
	return v
}

func kindInvalid(kind wire.NotificationKind) (v Invalid) {
	if err := knownKind(kind); err != nil {
		v.add("kind", fmt.Sprintf("is not known: %d", kind))
	}
	return v
}

func namedKind(name string) (kind notification.Kind, v Invalid) {
	kind, problem := parseKind(name)
	v.add("kind", problem)
	return kind, v
}

// ParseKind returns the kind of e-mail of that name. Its error is an Invalid.
func ParseKind(name string) (notification.Kind, error) {
	kind, v := namedKind(name)
	return kind, v.Err()
}

func parseKind(name string) (notification.Kind, string) {
	if kind, known := notification.ParseKind(name); known {
		return kind, ""
	}
	return 0, "must be confirmed, backordered, rejected, shipped, delivered or cancelled, is " + quoted(name)
}

func notifyOf(n *wire.Notify) notification.Notify {
	return notification.Notify{Kind: notification.Kind(n.GetKind()), Name: n.GetName(), Email: n.GetEmail(),
		Reason: n.GetReason(), Lines: notificationLines(n.GetLines()),
		Carrier: n.GetCarrier(), TrackingNumber: n.GetTrackingNumber()}
}

// wireNotify fills w, which is empty and may come from a pool.
func wireNotify(w *wire.Notify, n notification.Notify) {
	w.Kind, w.Name, w.Email, w.Reason = wire.NotificationKind(n.Kind), n.Name, n.Email, n.Reason
	w.Carrier, w.TrackingNumber = n.Carrier, n.TrackingNumber
	for _, l := range n.Lines {
		line := next(&w.Lines)
		line.Sku, line.Quantity, line.Allocated = l.SKU, l.Quantity, l.Allocated
	}
}

// notifyInvalid checks texts above all, as they go into an e-mail.
func notifyInvalid(n notification.Notify) (v Invalid) {
	v.add("name", textProblem(n.Name, maxText))
	v.add("email", textProblem(n.Email, maxText))
	v.add("reason", textProblem(n.Reason, maxText))
	v.add("carrier", textProblem(n.Carrier, maxShipping))
	v.add("tracking_number", textProblem(n.TrackingNumber, maxShipping))
	v.add("lines", linesProblem(len(n.Lines)))
	for i, line := range n.Lines {
		v.addAt("lines", i, "sku", idProblem(line.SKU))
		v.addAt("lines", i, "quantity", rangeProblem(line.Quantity, 1, inventory.MaxOnHand))
		v.addAt("lines", i, "allocated", rangeProblem(line.Allocated, 0, inventory.MaxOnHand))
	}
	return v
}

func notificationLines(list []*wire.NotificationLine) []notification.Line {
	if len(list) == 0 {
		return nil
	}
	lines := make([]notification.Line, len(list))
	for i, line := range list {
		lines[i] = notification.Line{SKU: line.Sku, Quantity: line.Quantity, Allocated: line.Allocated}
	}
	return lines
}
