package order

import "stockflow/machines/inventory"

// State is the row of an order. The zero State is an order that was never placed.
type State struct {
	Status   Status
	Reason   string // of a rejection, else ""
	Policy   Policy
	Customer Customer
	ShipTo   string
	Lines    []Line // one a SKU, sorted by SKU
	// Fingerprint is the start of a SHA-256 over the content of the placement, so that a repeated
	// placement can be told from another one of the same id.
	Fingerprint [16]byte
	RepeatKey   uint64 // Placed.RepeatKey, by which the key is found that was used for another id
	// Cancelling is set while the shipment has been asked to cancel and has not answered.
	Cancelling bool
	History    []Change
}

// Status is where an order stands.
type Status uint8

// The statuses of an order. The outcome is known when it is neither None nor Pending.
const (
	None Status = iota
	Pending
	Confirmed
	Backordered
	Rejected
	Shipped
	Delivered
	Cancelled
)

// Line is what an order asks of one SKU, and what it was given.
type Line struct {
	SKU      string
	Quantity int64 // the sum over the placed lines of this SKU
	Status   LineStatus
	// Allocations are the units that the line was given, by location: held while the order is open, then shipped;
	// none once given back.
	Allocations []inventory.Allocation
	Available   int64  // what there was when the line was given less than it asked for
	Reason      string // why it was refused: an inventory.Refusal... reason, else ""
}

// LineStatus is where a line stands.
type LineStatus uint8

// The statuses of a line.
const (
	LinePending     LineStatus = iota // asked for, not answered
	LineReserved                      // given Takes, all of Quantity or, under Partial, some of it
	LineRefused                       // given nothing
	LineWaiting                       // in the queue of its SKU
	LineWithdrawing                   // asked to leave the queue, not answered; if it has Takes, only NotWaiting can be the answer
	LineWithdrawn                     // has left the queue
	LineReleased                      // what it was given was given back
	LineShipped                       // what it was given was shipped
)

// Change is a step of an order's history.
type Change struct {
	Status Status
	At     int64 // LogAppendTime, ms
}

// Result is what a message does to a row.
type Result struct {
	State        State
	Outputs      []Output // to be sent in this order
	Refusal      string   // why a command was refused, "" if it was taken
	Inapplicable string   // why no rule can take the message, "" if one did; State is then the row as it was
}

// Allocated returns how many units the line was given and has not given back.
func (l Line) Allocated() int64 {
	var n int64
	for _, t := range l.Allocations {
		n += t.Quantity
	}
	return n
}

// String returns the name used in JSON: "pending" and so on, "" for None.
func (s Status) String() string {
	return [...]string{"", "pending", "confirmed", "backordered", "rejected", "shipped", "delivered", "cancelled"}[s]
}

// String returns the name used in JSON.
func (s LineStatus) String() string {
	return [...]string{"pending", "reserved", "refused", "waiting", "withdrawing", "withdrawn", "released", "shipped"}[s]
}

// String returns the name used in JSON: "all_or_nothing", "partial", "backorder".
func (p Policy) String() string {
	return [...]string{"all_or_nothing", "partial", "backorder"}[p]
}
