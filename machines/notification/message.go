// Package notification decides which e-mails a customer is sent.
package notification

// Message is one record of the log notification-events, decoded and valid.
type Message struct {
	OrderID      string // the record's key
	At           int64  // when the log took it in, in milliseconds since 1970 (LogAppendTime)
	RulesVersion uint32 // the number of the rules it was written under, 1 or more
	// Event is one of Notify, Sent, Failed, Resend, Begin.
	Event any
}

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

// Kinds are all kinds, in their order.
var Kinds = []Kind{Confirmed, Backordered, Rejected, Shipped, Delivered, Cancelled}

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

// Sent says that a mail server has taken an e-mail. The sender of e-mails writes it, which is no machine.
type Sent struct {
	Kind     Kind
	Round    int64 // of the Mail when it was sent, 1 or more
	Attempts int64 // how often it was tried in that round, 1 or more
}

// Failed says that an e-mail will not be sent, as a mail server has refused it for good. The sender writes it.
type Failed struct {
	Kind     Kind
	Round    int64
	Attempts int64
	Reason   string // for people, up to MaxReason characters
}

// Resend asks for a failed e-mail to be tried again.
type Resend struct {
	Kind Kind
}

// Begin says that a sender takes up the outbox of a partition. It changes nothing: a row that has taken it in shows
// that whatever came before it in the partition's log was taken in too. Its key is no order's.
type Begin struct{}

// MaxReason is how many characters the reason of a failure may have.
const MaxReason = 300

// Why an outcome or a resend is refused.
const (
	RefusalUnknown   = "unknown_notification" // no such e-mail was ever asked for
	RefusalNotFailed = "not_failed"           // a resend of an e-mail that is queued or was sent
)

// String returns the name used in JSON and in a Message-ID: "confirmed" and so on.
func (k Kind) String() string {
	return [...]string{"", "confirmed", "backordered", "rejected", "shipped", "delivered", "cancelled"}[k]
}

// ParseKind returns the kind of that name; false if there is none.
func ParseKind(name string) (Kind, bool) {
	for _, k := range Kinds {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}
