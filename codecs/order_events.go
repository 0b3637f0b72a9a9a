package codecs

import (
	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// DecodeOrderEvent reads a value of order-events.
func DecodeOrderEvent(value []byte) (Decoded, error) {
	return decode(value, orderEvent)
}

// EncodeOrderEvent returns the name and the value of an event of order-events. The key is not in the value.
// It panics if event is not one of those that order.Message lists.
func EncodeOrderEvent(event any) (name string, value []byte) {
	var m wire.OrderEvent
	switch e := event.(type) {
	case order.Placed:
		name, m.Event = "placed", &wire.OrderEvent_Placed{Placed: wirePlaced(e)}
	case order.Cancel:
		name, m.Event = "cancel", &wire.OrderEvent_Cancel{Cancel: &wire.CancelOrder{Reason: e.Reason}}
	default:
		name = encodeAnswer(&m, event)
	}
	return name, mustMarshal(&m)
}

// encodeAnswer puts what another machine told the order into m, and returns its name.
func encodeAnswer(m *wire.OrderEvent, event any) (name string) {
	switch e := event.(type) {
	case inventory.Reserved:
		name, m.Event = "reserved", &wire.OrderEvent_Reserved{Reserved: &wire.Reserved{
			Sku: e.SKU, Takes: wireAllocations(e.Allocations), Available: e.Available}}
	case inventory.Refused:
		name, m.Event = "refused", &wire.OrderEvent_Refused{Refused: &wire.Refused{
			Sku: e.SKU, Reason: e.Reason, Available: e.Available}}
	case inventory.Queued:
		name, m.Event = "queued", &wire.OrderEvent_Queued{Queued: &wire.Queued{Sku: e.SKU, Available: e.Available}}
	case inventory.Withdrawn:
		name, m.Event = "withdrawn", &wire.OrderEvent_Withdrawn{Withdrawn: &wire.Withdrawn{Sku: e.SKU}}
	case inventory.NotWaiting:
		name, m.Event = "not_waiting", &wire.OrderEvent_NotWaiting{NotWaiting: &wire.NotWaiting{Sku: e.SKU}}
	case shipment.Scheduled:
		name, m.Event = "scheduled", &wire.OrderEvent_Scheduled{Scheduled: &wire.Scheduled{}}
	case shipment.Dispatched:
		name, m.Event = "dispatched", &wire.OrderEvent_Dispatched{Dispatched: &wire.Dispatched{
			Carrier: e.Carrier, TrackingNumber: e.TrackingNumber}}
	case shipment.Delivered:
		name, m.Event = "delivered", &wire.OrderEvent_Delivered{Delivered: &wire.Delivered{}}
	case shipment.Cancelled:
		name, m.Event = "shipment_cancelled", &wire.OrderEvent_ShipmentCancelled{ShipmentCancelled: &wire.ShipmentCancelled{}}
	case shipment.NotCancelled:
		name, m.Event = "not_cancelled", &wire.OrderEvent_NotCancelled{NotCancelled: &wire.NotCancelled{}}
	default:
		panic(notOfTheLog("order-events", event))
	}
	return name
}

func orderEvent(m *wire.OrderEvent) (Decoded, Invalid) {
	switch e := m.Event.(type) {
	case *wire.OrderEvent_Placed:
		event, invalid := placed(e.Placed)
		return written("placed", "order_id", e.Placed.OrderId, event, invalid)
	case *wire.OrderEvent_Cancel:
		event := order.Cancel{Reason: e.Cancel.Reason}
		return written("cancel", "order_id", e.Cancel.OrderId, event, CheckCancel(event))
	case *wire.OrderEvent_Reserved, *wire.OrderEvent_Refused, *wire.OrderEvent_Queued,
		*wire.OrderEvent_Withdrawn, *wire.OrderEvent_NotWaiting:
		return inventoryAnswer(m)
	case nil:
		return noEvent("placed, cancel")
	}
	return shipmentAnswer(m)
}

func placed(p *wire.Placed) (order.Placed, Invalid) {
	policy, problem := parsePolicy(p.Policy)
	event := order.Placed{Customer: customer(p.Customer), ShipTo: p.ShipTo, Policy: policy, RepeatKey: p.RepeatKey}
	for i, line := range p.Lines {
		if i == 0 {
			event.Lines = make([]order.PlacedLine, len(p.Lines))
		}
		event.Lines[i] = order.PlacedLine{SKU: line.Sku, Quantity: line.Quantity}
	}
	invalid := CheckPlaced(event)
	invalid.add("policy", problem)
	return event, invalid
}

func wirePlaced(p order.Placed) *wire.Placed {
	m := &wire.Placed{Customer: wireCustomer(p.Customer), ShipTo: p.ShipTo, Policy: p.Policy.String(), RepeatKey: p.RepeatKey,
		Lines: emptyList[wire.PlacedLine](len(p.Lines))}
	for i, line := range p.Lines {
		m.Lines[i].Sku, m.Lines[i].Quantity = line.SKU, line.Quantity
	}
	return m
}

func customer(c *wire.Customer) order.Customer {
	return order.Customer{ID: c.GetId(), Name: c.GetName(), Email: c.GetEmail()}
}

// wireCustomer returns nil for a customer of whom nothing is known, which takes no byte.
func wireCustomer(c order.Customer) *wire.Customer {
	if c == (order.Customer{}) {
		return nil
	}
	return &wire.Customer{Id: c.ID, Name: c.Name, Email: c.Email}
}

// inventoryAnswer reads what the inventory machine told an order.
func inventoryAnswer(m *wire.OrderEvent) (Decoded, Invalid) {
	switch e := m.Event.(type) {
	case *wire.OrderEvent_Reserved:
		takes, invalid := takesOf(e.Reserved.Takes)
		invalid.add("available", rangeProblem(e.Reserved.Available, 0, inventory.MaxOnHand))
		event := inventory.Reserved{SKU: e.Reserved.Sku, Allocations: takes, Available: e.Reserved.Available}
		return emitted("reserved", event, ofSKU(event.SKU, invalid))
	case *wire.OrderEvent_Refused:
		event := inventory.Refused{SKU: e.Refused.Sku, Reason: e.Refused.Reason, Available: e.Refused.Available}
		return emitted("refused", event, refusedInvalid(event))
	case *wire.OrderEvent_Queued:
		var invalid Invalid
		invalid.add("available", rangeProblem(e.Queued.Available, 0, inventory.MaxOnHand))
		event := inventory.Queued{SKU: e.Queued.Sku, Available: e.Queued.Available}
		return emitted("queued", event, ofSKU(event.SKU, invalid))
	case *wire.OrderEvent_Withdrawn:
		return emitted("withdrawn", inventory.Withdrawn{SKU: e.Withdrawn.Sku}, ofSKU(e.Withdrawn.Sku, nil))
	}
	sku := m.GetNotWaiting().GetSku()
	return emitted("not_waiting", inventory.NotWaiting{SKU: sku}, ofSKU(sku, nil))
}

// refusedInvalid insists on a reason that a row can hold: an order's row writes it as a number.
func refusedInvalid(r inventory.Refused) (invalid Invalid) {
	if _, known := wireRefusal(r.Reason); !known || r.Reason == "" {
		invalid.add("reason", "is not known: "+quoted(r.Reason))
	}
	invalid.add("available", rangeProblem(r.Available, 0, inventory.MaxOnHand))
	return ofSKU(r.SKU, invalid)
}

func ofSKU(sku string, invalid Invalid) Invalid {
	invalid.add("sku", idProblem(sku))
	return invalid
}

// shipmentAnswer reads what the shipment machine told an order.
func shipmentAnswer(m *wire.OrderEvent) (Decoded, Invalid) {
	switch e := m.Event.(type) {
	case *wire.OrderEvent_Scheduled:
		return emitted("scheduled", shipment.Scheduled{}, nil)
	case *wire.OrderEvent_Dispatched:
		event := shipment.Dispatched{Carrier: e.Dispatched.Carrier, TrackingNumber: e.Dispatched.TrackingNumber}
		return emitted("dispatched", event, CheckDispatch(shipment.Dispatch(event)))
	case *wire.OrderEvent_Delivered:
		return emitted("delivered", shipment.Delivered{}, nil)
	case *wire.OrderEvent_ShipmentCancelled:
		return emitted("shipment_cancelled", shipment.Cancelled{}, nil)
	}
	return emitted("not_cancelled", shipment.NotCancelled{}, nil)
}
