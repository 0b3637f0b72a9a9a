package processors

import (
	"fmt"
	"strings"

	"stockflow/codecs"
	"stockflow/engine"
)

// Logs are the logs that machines read, in the order of the tour.
var Logs = []string{OrderEvents, InventoryEvents, ShipmentEvents, NotificationEvents}

// GroupOf returns the name of the group that reads a log of Logs.
func GroupOf(log string) string { return strings.TrimSuffix(log, "-events") }

// Read returns what the machine of a log makes of a record before it meets its row. The error says why it can make
// nothing of it, in the words of a dead letter.
func Read(log string, r engine.Record) (in engine.Incoming, err error) {
	var unreadable *engine.Unreadable
	switch log {
	case OrderEvents:
		in, unreadable = Order(nil).Read(r)
	case InventoryEvents:
		in, unreadable = Inventory(nil).Read(r)
	case ShipmentEvents:
		in, unreadable = Shipment(nil).Read(r)
	case NotificationEvents:
		in, unreadable = Notification(nil).Read(r)
	default:
		return in, fmt.Errorf("%s is not the log of a machine", log)
	}
	if unreadable != nil {
		return in, unreadable
	}
	return in, nil
}

// Show reads a value of a log for people. The error is that of a value in no form that the log has.
func Show(log string, value []byte) (codecs.Shown, error) {
	switch log {
	case OrderEvents:
		return codecs.ShowOrderEvent(value)
	case InventoryEvents:
		return codecs.ShowInventoryEvent(value)
	case ShipmentEvents:
		return codecs.ShowShipmentEvent(value)
	case NotificationEvents:
		return codecs.ShowNotificationEvent(value)
	}
	return codecs.Shown{}, fmt.Errorf("%s is not the log of a machine", log)
}

// EventOf returns the name of the event that a dead letter holds, or says in its headers that it is; "" if neither can
// be told.
func EventOf(d codecs.DeadLetter) string {
	if shown, err := Show(d.Topic, d.Value); err == nil {
		return shown.Event
	}
	for _, h := range d.Headers {
		if name, ours := strings.CutPrefix(string(h.Value), "stockflow."); h.Key == codecs.HeaderType && ours {
			return name
		}
	}
	return ""
}
