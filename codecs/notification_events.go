package codecs

import (
	"fmt"

	"stockflow/codecs/internal/wire"
	"stockflow/processors/inventory"
	"stockflow/processors/notification"
)

// DecodeNotificationEvent reads a value of notification-events.
func DecodeNotificationEvent(value []byte) (Decoded, error) {
	return decode(value, notificationEvent)
}

// EncodeNotificationEvent returns the name and the value of an event of notification-events. The key is not in
// the value. It panics if event is not a notification.Notify.
func EncodeNotificationEvent(event any) (name string, value []byte) {
	e, ok := event.(notification.Notify)
	if !ok {
		panic(notOfTheLog("notification-events", event))
	}
	notify := &wire.Notify{Kind: wire.NotificationKind(e.Kind), Name: e.Name, Email: e.Email, Reason: e.Reason,
		Carrier: e.Carrier, TrackingNumber: e.TrackingNumber}
	for _, line := range e.Lines {
		notify.Lines = append(notify.Lines,
			&wire.NotificationLine{Sku: line.SKU, Quantity: line.Quantity, Allocated: line.Allocated})
	}
	return "notify", mustMarshal(&wire.NotificationEvent{Event: &wire.NotificationEvent_Notify{Notify: notify}})
}

func notificationEvent(m *wire.NotificationEvent) (Decoded, Invalid) {
	if m.Event == nil {
		return noEvent("notify")
	}
	n := m.GetNotify()
	event := notification.Notify{Name: n.GetName(), Email: n.GetEmail(), Reason: n.GetReason(),
		Lines: notificationLines(n.GetLines()), Carrier: n.GetCarrier(), TrackingNumber: n.GetTrackingNumber()}
	var invalid Invalid
	kind := n.GetKind()
	if kind < wire.NotificationKind_NOTIFICATION_KIND_CONFIRMED || kind > wire.NotificationKind_NOTIFICATION_KIND_CANCELLED {
		invalid.add("kind", fmt.Sprintf("is not known: %d", kind))
	}
	event.Kind = notification.Kind(kind)
	return emitted("notify", event, append(invalid, notifyInvalid(event)...))
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
