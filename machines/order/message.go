// Package order conducts an order from its placement to its delivery.
package order

// Message is one record of the log order-events, decoded and valid.
type Message struct {
	OrderID      string // the record's key
	At           int64  // when the log took it in, in milliseconds since 1970 (LogAppendTime)
	RulesVersion uint32 // the number of the rules it was written under, 1 or more
	// Event is one of Placed, Cancel; the answers inventory.Reserved, inventory.Refused,
	// inventory.Queued, inventory.Withdrawn, inventory.NotWaiting; the answers shipment.Scheduled,
	// shipment.Dispatched, shipment.Delivered, shipment.Cancelled, shipment.NotCancelled.
	Event any
}

// Placed says that a customer has ordered.
type Placed struct {
	Customer Customer
	ShipTo   string
	Policy   Policy
	Lines    []PlacedLine // 1 to MaxLines as placed: in the sender's order, a SKU may come twice
	// RepeatKey is the start of a SHA-256 over the Idempotency-Key of an order that was given an id as well, 0 for none.
	// It is no part of what makes two placements the same.
	RepeatKey uint64
}

// Customer is who ordered; all of it may be empty.
type Customer struct {
	ID, Name, Email string
}

// PlacedLine is one line of a placement.
type PlacedLine struct {
	SKU      string
	Quantity int64 // 1 to inventory.MaxQuantity
}

// Policy says what becomes of an order of which not everything is available.
type Policy uint8

// The policies of an order.
const (
	AllOrNothing Policy = iota // everything or a rejection
	Partial                    // each line what is available; a rejection only if nothing is
	Backorder                  // lines wait until their units are there
)

// Cancel asks for an order not to be fulfilled.
type Cancel struct {
	Reason string // free text of the sender, kept in the log alone
}

// Output is a message to another machine.
type Output struct {
	To  Destination
	Key string // a SKU for ToInventory, else the order's id
	// Command is one of inventory.Reserve, inventory.Release, inventory.Ship, inventory.Withdraw;
	// shipment.Schedule, shipment.Cancel; notification.Notify.
	Command any
}

// Destination is the machine that an Output is for.
type Destination uint8

// The machines that an order sends to.
const (
	ToInventory Destination = iota + 1
	ToShipment
	ToNotification
)

// Why a placement or a cancellation is refused.
const (
	RefusalIDConflict     = "id_conflict" // the order id is known, with other content
	RefusalUnknownOrder   = "unknown_order"
	RefusalAlreadyShipped = "already_shipped" // or delivered
	RefusalRejected       = "already_rejected"
)

// Why an order is rejected, in State.Reason.
const (
	ReasonRefused = "lines_refused"     // all_or_nothing or backorder: a line was refused
	ReasonNothing = "nothing_available" // partial: no line was given anything
)

// MaxLines is how many lines an order may have.
const MaxLines = 1_200
