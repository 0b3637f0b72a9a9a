package codecs

import (
	"pgregory.net/rapid"

	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// The generators draw any values that the types can hold, not only legal ones: a codec of rows must not care.

func anyHead(t *rapid.T) Head {
	return Head{
		Rebuilt: rapid.Int64().Draw(t, "rebuilt"), Applied: rapid.Int64().Draw(t, "applied"),
		Seen: list(t, 6, func() Origin {
			return Origin{Log: rapid.SampledFrom([]string{"", "order-events", "shipment-events"}).Draw(t, "log"),
				Partition: rapid.Int32().Draw(t, "partition"), Offset: rapid.Int64().Draw(t, "offset"), Index: rapid.Int32().Draw(t, "index")}
		}),
		Redriven: list(t, 3, func() uint64 { return rapid.Uint64().Draw(t, "redriven") }),
	}
}

func anyOrder(t *rapid.T) order.State {
	s := order.State{Status: anyStatus(t), Reason: rapid.String().Draw(t, "reason"),
		Policy:     order.Policy(rapid.IntRange(0, 2).Draw(t, "policy")),
		Customer:   order.Customer{ID: rapid.String().Draw(t, "id"), Name: rapid.String().Draw(t, "name"), Email: rapid.String().Draw(t, "email")},
		ShipTo:     rapid.String().Draw(t, "ship to"),
		Lines:      list(t, 12, func() order.Line { return anyLine(t) }),
		Cancelling: rapid.Bool().Draw(t, "cancelling"),
		History:    list(t, 4, func() order.Change { return order.Change{Status: anyStatus(t), At: rapid.Int64().Draw(t, "at")} }),
	}
	if rapid.Bool().Draw(t, "keyed") {
		s.RepeatKey = rapid.Uint64().Draw(t, "repeat key")
	}
	if rapid.Bool().Draw(t, "fingerprinted") {
		copy(s.Fingerprint[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "fingerprint"))
	}
	return s
}

func anyStatus(t *rapid.T) order.Status {
	return order.Status(rapid.IntRange(0, int(order.Cancelled)).Draw(t, "status"))
}

func anyLine(t *rapid.T) order.Line {
	quantity := rapid.Int64().Draw(t, "quantity")
	return order.Line{SKU: rapid.String().Draw(t, "sku"), Quantity: quantity,
		Status: order.LineStatus(rapid.IntRange(0, int(order.LineShipped)).Draw(t, "status")),
		Allocations: list(t, 3, func() inventory.Allocation {
			// Many names, so that some orders need the map; the whole quantity now and then.
			name := rapid.StringMatching("[a-t]").Draw(t, "location")
			return inventory.Allocation{Location: name, Quantity: rapid.OneOf(rapid.Just(quantity), rapid.Int64()).Draw(t, "taken")}
		}),
		Available: rapid.Int64().Draw(t, "available"),
		Reason:    rapid.SampledFrom(refusals[:]).Draw(t, "refusal"),
	}
}

func anyInventory(t *rapid.T) inventory.State {
	n := func(name string) int64 { return rapid.Int64().Draw(t, name) }
	return inventory.State{Known: rapid.Bool().Draw(t, "known"),
		Locations: list(t, 3, func() inventory.Stock {
			return inventory.Stock{Location: rapid.String().Draw(t, "location"), OnHand: n("on hand"), Reserved: n("reserved")}
		}),
		Queue: list(t, 3, func() inventory.Waiting {
			return inventory.Waiting{OrderID: rapid.String().Draw(t, "order"), Quantity: n("quantity"), Since: n("since")}
		}),
		Remembered: list(t, 3, func() inventory.Remembered {
			return inventory.Remembered{ID: rapid.Uint64().Draw(t, "id"), Content: rapid.Uint64().Draw(t, "content")}
		}),
		Received: n("received"), Adjusted: n("adjusted"), Shipped: n("shipped"),
	}
}

func anyShipment(t *rapid.T) shipment.State {
	status := func() shipment.Status {
		return shipment.Status(rapid.IntRange(0, int(shipment.StatusCancelled)).Draw(t, "status"))
	}
	return shipment.State{Status: status(),
		Lines: list(t, 3, func() shipment.Line {
			return shipment.Line{SKU: rapid.String().Draw(t, "sku"), Quantity: rapid.Int64().Draw(t, "quantity")}
		}),
		Carrier: rapid.String().Draw(t, "carrier"), TrackingNumber: rapid.String().Draw(t, "number"),
		History: list(t, 3, func() shipment.Change {
			return shipment.Change{Status: status(), At: rapid.Int64().Draw(t, "at")}
		}),
	}
}

func anyNotification(t *rapid.T) notification.State {
	text := func(name string) string { return rapid.String().Draw(t, name) }
	n := func(name string) int64 { return rapid.Int64().Draw(t, name) }
	return notification.State{Mails: list(t, 5, func() notification.Mail {
		return notification.Mail{
			Notify: notification.Notify{Kind: rapid.SampledFrom(notification.Kinds).Draw(t, "kind"),
				Name: text("name"), Email: text("email"), Reason: text("reason"), Carrier: text("carrier"), TrackingNumber: text("number"),
				Lines: list(t, 3, func() notification.Line {
					return notification.Line{SKU: text("sku"), Quantity: n("quantity"), Allocated: n("allocated")}
				})},
			More: n("more"), Status: rapid.SampledFrom(notification.Statuses).Draw(t, "status"),
			Round: n("round"), Attempts: n("attempts"), Failure: text("failure"), Asked: n("asked"), Since: n("since"),
		}
	})}
}

// list draws up to most elements; none is nil.
func list[T any](t *rapid.T, most int, draw func() T) (elements []T) {
	for range rapid.IntRange(0, most).Draw(t, "length") {
		elements = append(elements, draw())
	}
	return elements
}
