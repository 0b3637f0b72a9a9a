package processors

import (
	"fmt"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// The logs, each the only input of one machine.
const (
	OrderEvents        = "order-events"        // keyed by order id
	InventoryEvents    = "inventory-events"    // keyed by SKU
	ShipmentEvents     = "shipment-events"     // keyed by order id
	NotificationEvents = "notification-events" // keyed by order id
)

// The tables, each the fold of the log of the same name.
const (
	OrderTable        = "order-table"
	InventoryTable    = "inventory-table"
	ShipmentTable     = "shipment-table"
	NotificationTable = "notification-table"
)

// Order is the machine that conducts orders. m counts what it decides; nil counts nothing.
func Order(m *Metrics) engine.Machine[order.State] {
	return engine.Machine[order.State]{
		Group: "order", Log: OrderEvents, Table: OrderTable, RulesVersion: order.RulesVersion,
		Sends:       []string{InventoryEvents, ShipmentEvents, NotificationEvents},
		AcceptsFrom: []string{InventoryEvents, ShipmentEvents},
		Decode:      codecs.DecodeOrderEvent,
		DecodeRow:   codecs.DecodeOrderRow,
		EncodeRow:   codecs.EncodeOrderRow,
		Observe:     m.order,
		Apply: func(s order.State, key string, at int64, d codecs.Decoded) engine.Result[order.State] {
			r := order.Apply(s, order.Message{OrderID: key, At: at, RulesVersion: d.RulesVersion, Event: d.Event})
			res := engine.Result[order.State]{State: r.State, Refusal: r.Refusal, Inapplicable: r.Inapplicable}
			res.Outputs = written(r.Outputs, commandOf)
			return res
		},
	}
}

// commandOf writes down what an order tells another machine.
func commandOf(o order.Output) engine.Output {
	var log, typ string
	var value []byte
	switch o.To {
	case order.ToInventory:
		log = InventoryEvents
		typ, value = codecs.EncodeInventoryEvent(o.Command)
	case order.ToShipment:
		log = ShipmentEvents
		typ, value = codecs.EncodeShipmentEvent(o.Command)
	case order.ToNotification:
		log = NotificationEvents
		typ, value = codecs.EncodeNotificationEvent(o.Command)
	default:
		panic(fmt.Sprintf("an order sent to destination %d", o.To))
	}
	return engine.Output{Log: log, Key: o.Key, Type: typ, Value: value, Event: o.Command}
}

// Inventory is the machine that keeps the stock.
func Inventory(m *Metrics) engine.Machine[inventory.State] {
	return engine.Machine[inventory.State]{
		Group: "inventory", Log: InventoryEvents, Table: InventoryTable, RulesVersion: inventory.RulesVersion,
		Sends:       []string{OrderEvents},
		AcceptsFrom: []string{OrderEvents},
		Decode:      codecs.DecodeInventoryEvent,
		DecodeRow:   codecs.DecodeInventoryRow,
		EncodeRow:   codecs.EncodeInventoryRow,
		Observe:     m.inventory,
		Apply: func(s inventory.State, key string, at int64, d codecs.Decoded) engine.Result[inventory.State] {
			r := inventory.Apply(s, inventory.Message{SKU: key, At: at, RulesVersion: d.RulesVersion, Event: d.Event})
			res := engine.Result[inventory.State]{State: r.State, Refusal: r.Refusal, Inapplicable: r.Inapplicable}
			res.Outputs = written(r.Outputs, func(o inventory.Output) engine.Output { return answerTo(o.OrderID, o.Answer) })
			return res
		},
	}
}

// Shipment is the machine that follows the parcels.
func Shipment(m *Metrics) engine.Machine[shipment.State] {
	return engine.Machine[shipment.State]{
		Group: "shipment", Log: ShipmentEvents, Table: ShipmentTable, RulesVersion: shipment.RulesVersion,
		Sends:       []string{OrderEvents},
		AcceptsFrom: []string{OrderEvents},
		Decode:      codecs.DecodeShipmentEvent,
		DecodeRow:   codecs.DecodeShipmentRow,
		EncodeRow:   codecs.EncodeShipmentRow,
		Observe:     m.shipment,
		Apply: func(s shipment.State, key string, at int64, d codecs.Decoded) engine.Result[shipment.State] {
			r := shipment.Apply(s, shipment.Message{OrderID: key, At: at, RulesVersion: d.RulesVersion, Event: d.Event})
			res := engine.Result[shipment.State]{State: r.State, Refusal: r.Refusal, Inapplicable: r.Inapplicable}
			res.Outputs = written(r.Outputs, func(o shipment.Output) engine.Output { return answerTo(o.OrderID, o.Answer) })
			return res
		},
	}
}

// Notification is the machine that keeps the outbox of e-mails. It sends none: package mail does.
func Notification(m *Metrics) engine.Machine[notification.State] {
	return engine.Machine[notification.State]{
		Group: "notification", Log: NotificationEvents, Table: NotificationTable, RulesVersion: notification.RulesVersion,
		AcceptsFrom: []string{OrderEvents},
		Decode:      codecs.DecodeNotificationEvent,
		DecodeRow:   codecs.DecodeNotificationRow,
		EncodeRow:   codecs.EncodeNotificationRow,
		Observe:     m.notification,
		Apply: func(s notification.State, key string, at int64, d codecs.Decoded) engine.Result[notification.State] {
			r := notification.Apply(s, notification.Message{OrderID: key, At: at, RulesVersion: d.RulesVersion, Event: d.Event})
			return engine.Result[notification.State]{State: r.State, Refusal: r.Refusal, Inapplicable: r.Inapplicable}
		},
	}
}

// written writes down what a machine sends; nil if it sends nothing.
func written[O any](outputs []O, one func(O) engine.Output) []engine.Output {
	if len(outputs) == 0 {
		return nil
	}
	all := make([]engine.Output, len(outputs))
	for i, o := range outputs {
		all[i] = one(o)
	}
	return all
}

// answerTo writes down what a machine answers to an order.
func answerTo(orderID string, answer any) engine.Output {
	typ, value := codecs.EncodeOrderEvent(answer)
	return engine.Output{Log: OrderEvents, Key: orderID, Type: typ, Value: value, Event: answer}
}
