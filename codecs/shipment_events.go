package codecs

import (
	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
	"stockflow/machines/shipment"
)

// DecodeShipmentEvent reads a value of shipment-events.
func DecodeShipmentEvent(value []byte) (Decoded, error) {
	return decode(value, shipmentEvent)
}

// EncodeShipmentEvent returns the name and the value of an event of shipment-events. The key is not in the value.
// It panics if event is not one of those that shipment.Message lists.
func EncodeShipmentEvent(event any) (name string, value []byte) {
	var m wire.ShipmentEvent
	switch e := event.(type) {
	case shipment.Schedule:
		name, m.Event = "schedule", &wire.ShipmentEvent_Schedule{Schedule: wireSchedule(e)}
	case shipment.Cancel:
		name, m.Event = "cancel", &wire.ShipmentEvent_Cancel{Cancel: &wire.CancelShipment{}}
	case shipment.Dispatch:
		name, m.Event = "dispatch", &wire.ShipmentEvent_Dispatch{Dispatch: &wire.Dispatch{
			Carrier: e.Carrier, TrackingNumber: e.TrackingNumber}}
	case shipment.Deliver:
		name, m.Event = "deliver", &wire.ShipmentEvent_Deliver{Deliver: &wire.Deliver{}}
	default:
		panic(notOfTheLog("shipment-events", event))
	}
	return name, mustMarshal(&m)
}

func shipmentEvent(m *wire.ShipmentEvent) (Decoded, Invalid) {
	switch e := m.Event.(type) {
	case *wire.ShipmentEvent_Schedule:
		event, invalid := schedule(e.Schedule)
		return emitted("schedule", event, invalid)
	case *wire.ShipmentEvent_Cancel:
		return emitted("cancel", shipment.Cancel{}, nil)
	case *wire.ShipmentEvent_Dispatch:
		event := shipment.Dispatch{Carrier: e.Dispatch.Carrier, TrackingNumber: e.Dispatch.TrackingNumber}
		return written("dispatch", "order_id", e.Dispatch.OrderId, event, CheckDispatch(event))
	case *wire.ShipmentEvent_Deliver:
		return written("deliver", "order_id", e.Deliver.OrderId, shipment.Deliver{}, nil)
	}
	return noEvent("dispatch, deliver")
}

func schedule(s *wire.Schedule) (shipment.Schedule, Invalid) {
	event := shipment.Schedule{Lines: shipmentLines(s.Lines)}
	var invalid Invalid
	invalid.add("lines", linesProblem(len(event.Lines)))
	for i, line := range event.Lines {
		invalid.addAt("lines", i, "sku", idProblem(line.SKU))
		if i > 0 {
			invalid.addAt("lines", i, "sku", sortedProblem(event.Lines[i-1].SKU, line.SKU))
		}
		invalid.addAt("lines", i, "quantity", rangeProblem(line.Quantity, 1, inventory.MaxOnHand))
	}
	return event, invalid
}

func wireSchedule(s shipment.Schedule) *wire.Schedule {
	m := &wire.Schedule{Lines: emptyList[wire.ShipmentLine](len(s.Lines))}
	for i, line := range s.Lines {
		m.Lines[i].Sku, m.Lines[i].Quantity = line.SKU, line.Quantity
	}
	return m
}

func shipmentLines(list []*wire.ShipmentLine) []shipment.Line {
	if len(list) == 0 {
		return nil
	}
	lines := make([]shipment.Line, len(list))
	for i, line := range list {
		lines[i] = shipment.Line{SKU: line.Sku, Quantity: line.Quantity}
	}
	return lines
}
