package shipment

// State is the row of a shipment. The zero State is a shipment that does not exist.
type State struct {
	Status         Status
	Lines          []Line // sorted by SKU
	Carrier        string
	TrackingNumber string
	History        []Change
}

// Status is where a shipment stands.
type Status uint8

// The statuses of a shipment.
const (
	None Status = iota
	StatusScheduled
	StatusDispatched
	StatusDelivered
	StatusCancelled
)

// Change is a step of a shipment's history.
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

// String returns the name used in JSON: "scheduled" and so on, "" for None.
func (s Status) String() string {
	return [...]string{"", "scheduled", "dispatched", "delivered", "cancelled"}[s]
}
