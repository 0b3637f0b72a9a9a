// Package notification decides which e-mails a customer is sent.
package notification

// Kind is the occasion of an e-mail.
type Kind uint8

// The kinds of e-mail, at most one of each to an order.
const (
	Confirmed Kind = iota + 1
	Backordered
	Rejected
	Shipped
	Delivered
	Cancelled
)

// Notify asks for one e-mail to the customer of an order. It holds all that the e-mail says.
type Notify struct {
	Kind           Kind
	Name           string // of the customer, may be empty
	Email          string
	Reason         string // of a rejection
	Lines          []Line // sorted by SKU
	Carrier        string // of what was shipped
	TrackingNumber string
}

// Line is a line of the order as the e-mail shows it.
type Line struct {
	SKU       string
	Quantity  int64 // ordered
	Allocated int64 // given
}

// String returns the name used in JSON and in a Message-ID: "confirmed" and so on.
func (k Kind) String() string {
	return [...]string{"", "confirmed", "backordered", "rejected", "shipped", "delivered", "cancelled"}[k]
}
