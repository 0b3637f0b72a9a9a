// Package shipment decides what happens to the parcel of one order.
package shipment

// Message is one record of the log shipment-events, decoded and valid.
type Message struct {
	OrderID      string // the record's key
	At           int64  // when the log took it in, in milliseconds since 1970 (LogAppendTime)
	RulesVersion uint32 // the number of the rules it was written under, 1 or more
	// Event is one of Schedule, Cancel, Dispatch, Deliver.
	Event any
}

// Schedule asks for a parcel to be packed. It is answered by Scheduled.
type Schedule struct {
	Lines []Line // sorted by SKU
}

// Line is what of a SKU goes into the parcel.
type Line struct {
	SKU      string
	Quantity int64
}

// Cancel asks for the parcel not to be sent. It is answered by Cancelled or NotCancelled:
// this is where a cancellation that races a dispatch is decided.
type Cancel struct{}

// Dispatch says that the parcel was handed to the carrier.
type Dispatch struct {
	Carrier        string // 1 to 100 characters
	TrackingNumber string // 1 to 100 characters
}

// Deliver says that the parcel has arrived.
type Deliver struct{}

// Output is an answer to the order.
type Output struct {
	OrderID string
	// Answer is one of Scheduled, Dispatched, Delivered, Cancelled, NotCancelled.
	Answer any
}

// Scheduled says that the parcel is to be packed.
type Scheduled struct{}

// Dispatched says that the parcel has left.
type Dispatched struct {
	Carrier        string
	TrackingNumber string
}

// Delivered says that the parcel has arrived.
type Delivered struct{}

// Cancelled says that the parcel will not be sent.
type Cancelled struct{}

// NotCancelled says that the parcel had left before the cancellation came.
type NotCancelled struct{}

// Why a dispatch or a delivery is refused.
const (
	RefusalUnknownShipment     = "unknown_shipment"
	RefusalCancelled           = "shipment_cancelled"
	RefusalNotDispatched       = "not_dispatched"       // a delivery before the dispatch
	RefusalDispatchedOtherwise = "dispatched_otherwise" // with another carrier or tracking number
)
