package inventory

// State is the row of a SKU. The zero State is a SKU of which nothing is known.
type State struct {
	Known      bool         // a receipt or an adjustment was taken
	Locations  []Stock      // sorted by location
	Queue      []Waiting    // first in, first out
	Remembered []Remembered // the last MaxRemembered receipts and adjustments, oldest first

	// Totals over all time: Received + Adjusted = on hand + Shipped.
	Received, Adjusted, Shipped int64
}

// Stock is what a location holds. 0 <= Reserved <= OnHand.
type Stock struct {
	Location         string
	OnHand, Reserved int64
}

// Waiting is a line in the queue.
type Waiting struct {
	OrderID  string
	Quantity int64
	Since    int64 // LogAppendTime, ms
}

// Remembered is a receipt or an adjustment that was taken, as hashes.
type Remembered struct {
	ID      uint64
	Content uint64
}

// Result is what a message does to a row.
type Result struct {
	State        State
	Outputs      []Output // to be sent in this order
	Refusal      string   // why a receipt or an adjustment was refused, "" if it was taken
	Inapplicable string   // why no rule can take the message, "" if one did; State is then the row as it was
}

// Available is how many units may still be reserved at a location.
func (s Stock) Available() int64 { return s.OnHand - s.Reserved }

// OnHand is how many units there are, over all locations.
func (s State) OnHand() int64 {
	var n int64
	for _, at := range s.Locations {
		n += at.OnHand
	}
	return n
}

// Reserved is how many units orders hold, over all locations.
func (s State) Reserved() int64 {
	var n int64
	for _, at := range s.Locations {
		n += at.Reserved
	}
	return n
}

// Available is how many units may still be reserved, over all locations.
func (s State) Available() int64 { return s.OnHand() - s.Reserved() }
