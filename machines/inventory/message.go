// Package inventory decides what happens to the stock of one SKU.
package inventory

// Message is one record of the log inventory-events, decoded and valid.
type Message struct {
	SKU          string // the record's key
	At           int64  // when the log took it in, in milliseconds since 1970 (LogAppendTime)
	RulesVersion uint32 // the number of the rules it was written under, 1 or more
	// Event is one of Receive, Adjust, Reserve, Release, Ship, Withdraw.
	Event any
}

// Receive says that goods have arrived. It is taken unless the ID is known with other content, or a bound
// of the row would be passed.
type Receive struct {
	ID        string // names the receipt, so that a retry counts once; "" names none
	Quantity  int64  // 1 to MaxQuantity
	Location  string // "" is DefaultLocation
	Reference string // free text of the sender, kept in the log alone; in a retry it must be the same
}

// Adjust corrects the stock of a location by Quantity units, which may be negative.
type Adjust struct {
	ID       string // as Receive.ID; receipts and adjustments share one set of names
	Quantity int64  // not 0, at most MaxQuantity in either direction
	Reason   string // one of AdjustmentReasons
	Location string // "" is DefaultLocation
}

// Reserve asks for Quantity units for an order. It is answered by Reserved, Refused or Queued.
type Reserve struct {
	OrderID  string
	Quantity int64 // 1 to MaxQuantity for each line of the order that was summed into it
	Mode     Mode
}

// Mode says what a Reserve takes when fewer units are available than it asks for.
type Mode uint8

// The modes of Reserve, one for each policy of an order.
const (
	Exact   Mode = iota // all units or none
	UpTo                // what is available, down to none
	OrQueue             // all units, or a place in the queue
)

// Release gives back units that an order holds.
type Release struct {
	OrderID     string
	Allocations []Allocation // sorted by location
}

// Ship takes units that an order holds out of the stock.
type Ship struct {
	OrderID     string
	Allocations []Allocation // sorted by location
}

// Withdraw takes an order's line out of the queue. It is answered by Withdrawn or NotWaiting.
type Withdraw struct {
	OrderID string
}

// Allocation is a number of units at a location, 1 or more.
type Allocation struct {
	Location string
	Quantity int64
}

// Output is an answer to an order.
type Output struct {
	OrderID string
	// Answer is one of Reserved, Refused, Queued, Withdrawn, NotWaiting.
	Answer any
}

// Reserved says which units an order was given, at once or when its turn came.
type Reserved struct {
	SKU         string
	Allocations []Allocation // sorted by location, one or more
	// Available is what there was when fewer units than asked for were given, else 0.
	Available int64
}

// Refused says that an order is given nothing of a SKU, and why.
type Refused struct {
	SKU       string
	Reason    string // one of the Refusal... reasons of reservations
	Available int64  // what there was
}

// Queued says that a line waits for its units; a Reserved follows when they are there.
type Queued struct {
	SKU       string
	Available int64 // what there was
}

// Withdrawn says that a line no longer waits.
type Withdrawn struct {
	SKU string
}

// NotWaiting says that a line was not in the queue: it had been served, and that answer came first.
type NotWaiting struct {
	SKU string
}

// Why a reservation is refused.
const (
	RefusalUnknownSKU   = "unknown_sku"    // nothing of it was ever received or counted
	RefusalInsufficient = "insufficient"   // fewer units on hand than asked for
	RefusalHeld         = "held_by_others" // enough on hand (any, for UpTo), but other orders hold it and may give it back
	RefusalQueueAhead   = "queue_ahead"    // others wait, and come first
	RefusalQueueFull    = "queue_full"     // MaxQueue lines wait already
)

// Why a receipt or an adjustment is refused.
const (
	RefusalIDConflict       = "id_conflict"        // the ID is known, with other content
	RefusalBelowZero        = "below_zero"         // on hand would be negative
	RefusalBelowReserved    = "below_reserved"     // fewer would be on hand than orders hold
	RefusalTooMany          = "too_many"           // more than MaxOnHand would be on hand
	RefusalTooManyLocations = "too_many_locations" // it would be location MaxLocations + 1
)

// AdjustmentReasons are the values of Adjust.Reason.
var AdjustmentReasons = []string{"damage", "loss", "count", "return", "correction"}

// The bounds that keep the largest legal row under 256 KiB.
const (
	MaxQuantity   = 1_000_000_000         // of a receipt, an adjustment or a line
	MaxOnHand     = 1_000_000_000_000_000 // of a SKU, over all locations
	MaxQueue      = 1_000                 // waiting lines
	MaxLocations  = 64                    // of a SKU
	MaxRemembered = 100                   // IDs of receipts and adjustments
)

// DefaultLocation is where stock is that names no location.
const DefaultLocation = "main"
