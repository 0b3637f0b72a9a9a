package codecs

import (
	"fmt"

	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
)

// DecodeInventoryEvent reads a value of inventory-events.
func DecodeInventoryEvent(value []byte) (Decoded, error) {
	return decode(value, inventoryEvent)
}

// EncodeInventoryEvent returns the name and the value of an event of inventory-events. The key is not in the value.
// It panics if event is not one of those that inventory.Message lists.
func EncodeInventoryEvent(event any) (name string, value []byte) {
	var m wire.InventoryEvent
	switch e := event.(type) {
	case inventory.Receive:
		name, m.Event = "receive", &wire.InventoryEvent_Receive{Receive: &wire.Receive{
			Id: e.ID, Quantity: e.Quantity, Location: e.Location, Reference: e.Reference}}
	case inventory.Adjust:
		name, m.Event = "adjust", &wire.InventoryEvent_Adjust{Adjust: &wire.Adjust{
			Id: e.ID, Quantity: e.Quantity, Reason: e.Reason, Location: e.Location}}
	case inventory.Reserve:
		name, m.Event = "reserve", &wire.InventoryEvent_Reserve{Reserve: &wire.Reserve{
			OrderId: e.OrderID, Quantity: e.Quantity, Mode: wireMode(e.Mode)}}
	case inventory.Release:
		name, m.Event = "release", &wire.InventoryEvent_Release{Release: &wire.Release{
			OrderId: e.OrderID, Takes: wireAllocations(e.Allocations)}}
	case inventory.Ship:
		name, m.Event = "ship", &wire.InventoryEvent_Ship{Ship: &wire.Ship{
			OrderId: e.OrderID, Takes: wireAllocations(e.Allocations)}}
	case inventory.Withdraw:
		name, m.Event = "withdraw", &wire.InventoryEvent_Withdraw{Withdraw: &wire.Withdraw{OrderId: e.OrderID}}
	default:
		panic(notOfTheLog("inventory-events", event))
	}
	return name, mustMarshal(&m)
}

func inventoryEvent(m *wire.InventoryEvent) (Decoded, Invalid) {
	switch e := m.Event.(type) {
	case *wire.InventoryEvent_Receive:
		event := inventory.Receive{ID: e.Receive.Id, Quantity: e.Receive.Quantity,
			Location: e.Receive.Location, Reference: e.Receive.Reference}
		return written("receive", "sku", e.Receive.Sku, event, CheckReceive(event))
	case *wire.InventoryEvent_Adjust:
		event := inventory.Adjust{ID: e.Adjust.Id, Quantity: e.Adjust.Quantity,
			Reason: e.Adjust.Reason, Location: e.Adjust.Location}
		return written("adjust", "sku", e.Adjust.Sku, event, CheckAdjust(event))
	case *wire.InventoryEvent_Reserve:
		return reserve(e.Reserve)
	case *wire.InventoryEvent_Release:
		takes, invalid := takesOf(e.Release.Takes)
		event := inventory.Release{OrderID: e.Release.OrderId, Allocations: takes}
		return emitted("release", event, ofOrder(event.OrderID, invalid))
	case *wire.InventoryEvent_Ship:
		takes, invalid := takesOf(e.Ship.Takes)
		event := inventory.Ship{OrderID: e.Ship.OrderId, Allocations: takes}
		return emitted("ship", event, ofOrder(event.OrderID, invalid))
	case *wire.InventoryEvent_Withdraw:
		event := inventory.Withdraw{OrderID: e.Withdraw.OrderId}
		return emitted("withdraw", event, ofOrder(event.OrderID, nil))
	}
	return noEvent("receive, adjust")
}

func reserve(r *wire.Reserve) (Decoded, Invalid) {
	var invalid Invalid
	// One line may ask for the sum of all lines of an order, so it may exceed MaxQuantity.
	invalid.add("quantity", rangeProblem(r.Quantity, 1, inventory.MaxOnHand))
	if r.Mode < wire.ReserveMode_RESERVE_MODE_EXACT || r.Mode > wire.ReserveMode_RESERVE_MODE_OR_QUEUE {
		invalid.add("mode", fmt.Sprintf("is not known: %d", r.Mode))
	}
	event := inventory.Reserve{OrderID: r.OrderId, Quantity: r.Quantity, Mode: inventory.Mode(r.Mode - 1)}
	return emitted("reserve", event, ofOrder(r.OrderId, invalid))
}

func wireMode(mode inventory.Mode) wire.ReserveMode {
	return wire.ReserveMode(mode) + wire.ReserveMode_RESERVE_MODE_EXACT
}

func ofOrder(id string, invalid Invalid) Invalid {
	invalid.add("order_id", idProblem(id))
	return invalid
}

// takesOf reads what was given, and insists on the order that the machines rely on.
func takesOf(list []*wire.Take) (takes []inventory.Allocation, invalid Invalid) {
	if n := len(list); n < 1 || n > inventory.MaxLocations {
		invalid.add("takes", fmt.Sprintf("must be 1 to %d locations, is %d", inventory.MaxLocations, n))
		return nil, invalid
	}
	takes = make([]inventory.Allocation, len(list))
	for i, t := range list {
		takes[i] = inventory.Allocation{Location: t.Location, Quantity: t.Quantity}
		invalid.addAt("takes", i, "location", idProblem(t.Location))
		if i > 0 {
			invalid.addAt("takes", i, "location", sortedProblem(takes[i-1].Location, t.Location))
		}
		invalid.addAt("takes", i, "quantity", rangeProblem(t.Quantity, 1, inventory.MaxOnHand))
	}
	return takes, invalid
}

func wireAllocations(takes []inventory.Allocation) []*wire.Take {
	list := emptyList[wire.Take](len(takes))
	for i, t := range takes {
		list[i].Location, list[i].Quantity = t.Location, t.Quantity
	}
	return list
}

// sortedProblem wants names strictly ascending: sorted, none twice.
func sortedProblem(before, name string) string {
	if before < name {
		return ""
	}
	return "must come after " + quoted(before)
}
