package codecs

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// logCodec is a log as the tests see it: its codec, and an example or more of each of its events.
type logCodec struct {
	log     string
	decode  func([]byte) (Decoded, error)
	encode  func(any) (string, []byte)
	message func() proto.Message
	events  []example
}

// example is an event and the name of its golden bytes. The part before a dash is the event's own name.
type example struct {
	golden  string
	emitted bool
	event   any
}

var logs = []logCodec{
	{"order-events", DecodeOrderEvent, EncodeOrderEvent, func() proto.Message { return new(wire.OrderEvent) }, []example{
		{"placed", false, order.Placed{Lines: []order.PlacedLine{{SKU: "lamp", Quantity: 2}}}},
		{"placed-in-full", false, fullPlacement},
		{"placed-keyed", false, order.Placed{Lines: []order.PlacedLine{{SKU: "lamp", Quantity: 2}}, RepeatKey: 1<<64 - 2}},
		{"placed-partial", false, order.Placed{Policy: order.Partial, Lines: []order.PlacedLine{{SKU: "BANK CHARGES", Quantity: inventory.MaxQuantity}}}},
		{"cancel", false, order.Cancel{}},
		{"cancel-with-reason", false, order.Cancel{Reason: "changed my mind"}},
		{"reserved", true, inventory.Reserved{SKU: "lamp", Allocations: []inventory.Allocation{{Location: "main", Quantity: 2}}}},
		{"reserved-in-part", true, inventory.Reserved{SKU: "lamp", Allocations: []inventory.Allocation{{Location: "main", Quantity: 2}, {Location: "north", Quantity: 1}}, Available: 3}},
		{"refused", true, inventory.Refused{SKU: "lamp", Reason: inventory.RefusalInsufficient, Available: 1}},
		{"queued", true, inventory.Queued{SKU: "lamp", Available: 1}},
		{"withdrawn", true, inventory.Withdrawn{SKU: "lamp"}},
		{"not_waiting", true, inventory.NotWaiting{SKU: "lamp"}},
		{"scheduled", true, shipment.Scheduled{}},
		{"dispatched", true, shipment.Dispatched{Carrier: "DHL", TrackingNumber: "X1"}},
		{"delivered", true, shipment.Delivered{}},
		{"shipment_cancelled", true, shipment.Cancelled{}},
		{"not_cancelled", true, shipment.NotCancelled{}},
	}},
	{"inventory-events", DecodeInventoryEvent, EncodeInventoryEvent, func() proto.Message { return new(wire.InventoryEvent) }, []example{
		{"receive", false, inventory.Receive{Quantity: 5}},
		{"receive-in-full", false, inventory.Receive{ID: "r-1", Quantity: 5, Location: "main", Reference: "delivery note 7/2010"}},
		{"adjust", false, inventory.Adjust{Quantity: -2, Reason: "damage"}},
		{"adjust-in-full", false, inventory.Adjust{ID: "a-1", Quantity: inventory.MaxQuantity, Reason: "return", Location: "north"}},
		{"reserve", true, inventory.Reserve{OrderID: "o-1", Quantity: 2, Mode: inventory.Exact}},
		{"reserve-up-to", true, inventory.Reserve{OrderID: "o-1", Quantity: 2, Mode: inventory.UpTo}},
		{"reserve-or-queue", true, inventory.Reserve{OrderID: "o-1", Quantity: order.MaxLines * inventory.MaxQuantity, Mode: inventory.OrQueue}},
		{"release", true, inventory.Release{OrderID: "o-1", Allocations: []inventory.Allocation{{Location: "main", Quantity: 2}, {Location: "north", Quantity: 1}}}},
		{"ship", true, inventory.Ship{OrderID: "o-1", Allocations: []inventory.Allocation{{Location: "main", Quantity: 2}}}},
		{"withdraw", true, inventory.Withdraw{OrderID: "o-1"}},
	}},
	{"shipment-events", DecodeShipmentEvent, EncodeShipmentEvent, func() proto.Message { return new(wire.ShipmentEvent) }, []example{
		{"schedule", true, shipment.Schedule{Lines: []shipment.Line{{SKU: "lamp", Quantity: 2}, {SKU: "table", Quantity: 1}}}},
		{"cancel", true, shipment.Cancel{}},
		{"dispatch", false, shipment.Dispatch{Carrier: "DHL", TrackingNumber: "X1"}},
		{"deliver", false, shipment.Deliver{}},
	}},
	{"notification-events", DecodeNotificationEvent, EncodeNotificationEvent, func() proto.Message { return new(wire.NotificationEvent) }, []example{
		{"notify", true, notification.Notify{Kind: notification.Confirmed, Email: "ada@example.org",
			Lines: []notification.Line{{SKU: "lamp", Quantity: 2, Allocated: 2}}}},
		{"notify-rejected", true, notification.Notify{Kind: notification.Rejected, Name: "Ada", Email: "ada@example.org",
			Reason: order.ReasonNothing, Lines: []notification.Line{{SKU: "lamp", Quantity: 2}}}},
		{"notify-shipped", true, notification.Notify{Kind: notification.Shipped, Name: "Ada", Email: "ada@example.org",
			Lines: []notification.Line{{SKU: "lamp", Quantity: 2, Allocated: 2}}, Carrier: "DHL", TrackingNumber: "X1"}},
		{"sent", false, notification.Sent{Kind: notification.Confirmed, Round: 1, Attempts: 1}},
		{"failed", false, notification.Failed{Kind: notification.Shipped, Round: 2, Attempts: 3, Reason: "554 no such mailbox"}},
		{"resend", false, notification.Resend{Kind: notification.Shipped}},
		{"begin", false, notification.Begin{}},
	}},
}

// fullPlacement has every field, and characters of one to four bytes.
var fullPlacement = order.Placed{
	Customer: order.Customer{ID: "c-17", Name: "Zoë 渡辺 🙂", Email: "zoe@example.org"},
	ShipTo:   "1 High Street\nLondon",
	Policy:   order.Backorder,
	Lines:    []order.PlacedLine{{SKU: "table", Quantity: 1}, {SKU: "lamp", Quantity: 2}, {SKU: "table", Quantity: 3}},
}

// name returns the event's own name.
func (x example) name() string {
	name, _, _ := strings.Cut(x.golden, "-")
	return name
}

// seenBy is a head with something of everything.
var seenBy = Head{
	Rebuilt: 1, Applied: 1042,
	Seen: []Origin{
		{Log: "inventory-events", Partition: 0, Offset: 7, Index: 0},
		{Log: "inventory-events", Partition: 3, Offset: 70_000, Index: 12},
		{Log: "shipment-events", Partition: 1, Offset: 0, Index: 0},
	},
	Redriven: []uint64{1, 1<<64 - 1},
}

var orderRow = order.State{
	Status: order.Rejected, Reason: order.ReasonRefused, Policy: order.AllOrNothing,
	Customer: order.Customer{ID: "c-17", Name: "Ada", Email: "ada@example.org"}, ShipTo: "1 High Street\nLondon",
	Lines: []order.Line{
		{SKU: "chair", Quantity: 9, Status: order.LineReserved, Allocations: []inventory.Allocation{{Location: "main", Quantity: 4}, {Location: "north", Quantity: 5}}},
		{SKU: "desk", Quantity: 3, Status: order.LineReserved, Allocations: []inventory.Allocation{{Location: "north", Quantity: 1}}, Available: 1},
		{SKU: "lamp", Quantity: 2, Status: order.LineShipped, Allocations: []inventory.Allocation{{Location: "north", Quantity: 2}}},
		{SKU: "sofa", Quantity: 1, Status: order.LinePending},
		{SKU: "table", Quantity: 8, Status: order.LineRefused, Available: 7, Reason: inventory.RefusalHeld},
	},
	Fingerprint: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	Cancelling:  true,
	History:     []order.Change{{Status: order.Pending, At: 1_291_190_400_000}, {Status: order.Rejected, At: 1_291_190_400_007}},
}

var inventoryRow = inventory.State{
	Known:      true,
	Locations:  []inventory.Stock{{Location: "main", OnHand: 5, Reserved: 2}, {Location: "north"}},
	Queue:      []inventory.Waiting{{OrderID: "o-2", Quantity: 9, Since: 1_291_190_400_000}},
	Remembered: []inventory.Remembered{{ID: 1, Content: 1<<64 - 1}, {}},
	Received:   10, Adjusted: -2, Shipped: 3,
}

var shipmentRow = shipment.State{
	Status:  shipment.StatusDispatched,
	Lines:   []shipment.Line{{SKU: "lamp", Quantity: 2}, {SKU: "table", Quantity: 1}},
	Carrier: "DHL", TrackingNumber: "X1",
	History: []shipment.Change{{Status: shipment.StatusScheduled, At: 1_291_190_400_000}, {Status: shipment.StatusDispatched, At: 1_291_190_400_009}},
}

var notificationRow = notification.State{Mails: []notification.Mail{
	{Notify: notification.Notify{Kind: notification.Confirmed, Name: "Ada", Email: "ada@example.org"},
		Status: notification.StatusSent, Round: 1, Attempts: 2, Asked: 1_291_190_400_000, Since: 1_291_190_400_009},
	{Notify: notification.Notify{Kind: notification.Shipped, Name: "Ada", Email: "ada@example.org", Reason: "none",
		Lines: []notification.Line{{SKU: "lamp", Quantity: 2, Allocated: 1}, {SKU: "table", Quantity: 1}}, Carrier: "DHL", TrackingNumber: "X1"},
		More: 7, Status: notification.StatusFailed, Round: 3, Attempts: 1, Failure: "554 no such mailbox", Asked: 1_291_190_500_000, Since: 1_291_190_500_009},
}}

var deadLetter = DeadLetter{
	Topic: "order-events", Partition: 3, Offset: 1042, At: 1_291_190_400_000,
	Key: []byte("o-1"), Value: []byte("\xffnot an order"), Reason: "not Protobuf of this log: unexpected EOF",
	Headers: []Header{{Key: "origin", Value: []byte("x")}, {Key: "\xfe"}, {}},
}

var deadLetterNote = DeadLetter{
	Topic: "order-events", Partition: 3, Offset: 1042, At: 1_291_190_400_000, Key: []byte("o-1"),
	Redrive: &Redrive{ID: "order-events/3/1042#2", Repaired: true, Partition: 3, Offset: 2001},
}

var deadLetterCut = DeadLetter{
	Topic: "order-events", Partition: 3, Offset: 1042, At: 1_291_190_400_000, Key: []byte("o-1"), Value: []byte("the first bytes"), Reason: "not Protobuf",
	Cut: &Cut{Size: 9 << 20, SHA256: []byte("32 bytes"), Headers: 2},
}

var deadLetterSkipped = DeadLetter{
	Topic: "order-events", Partition: 3, Offset: 1042, At: 1_291_190_400_000, Key: []byte("o-1"), Value: []byte("x"), Reason: "the machine panicked",
	Skip: &Skip{Asked: 1_291_190_500_000, Done: true},
}

var skipRequest = DeadLetter{Topic: "order-events", Partition: 3, Offset: 1042, Skip: &Skip{Asked: 1_291_190_500_000}}
