package notification

// State is the row of an order: the e-mails that it is worth. The zero State has none.
//
// The table is the outbox: whatever is queued in it is still to be sent, and nothing else is.
type State struct {
	Mails []Mail // one a kind, in the order in which they were asked for
}

// Mail is one e-mail and how it stands.
type Mail struct {
	// Notify is what it says. Lines has at most ShownLines, and none once it is sent: the log has them all.
	Notify
	More     int64 // how many lines of the order there are besides Lines
	Status   Status
	Round    int64  // 1, and one more with each resend
	Attempts int64  // how often the sender tried in the round that is over; 0 before
	Failure  string // why it failed, else ""
	Asked    int64  // when the order asked for it, ms
	Since    int64  // when it came to its status, ms
}

// Status is where an e-mail stands.
type Status uint8

// The statuses of an e-mail.
const (
	StatusQueued Status = iota + 1
	StatusSent
	StatusFailed
)

// Statuses are all statuses, in their order.
var Statuses = []Status{StatusQueued, StatusSent, StatusFailed}

// ShownLines is how many lines of an order an e-mail shows. It keeps a row small: an order has up to 1,200 lines, and
// up to five e-mails.
const ShownLines = 20

// Result is what a message does to a row.
type Result struct {
	State        State
	Refusal      string // why a command was refused, "" if it was taken
	Inapplicable string // why no rule can take the message, "" if one did; State is then the row as it was
}

// Find returns the e-mail of a kind; false if the order has none.
func (s State) Find(k Kind) (Mail, bool) {
	for _, m := range s.Mails {
		if m.Kind == k {
			return m, true
		}
	}
	return Mail{}, false
}

// Has reports whether an e-mail stands there.
func (s State) Has(status Status) bool {
	for _, m := range s.Mails {
		if m.Status == status {
			return true
		}
	}
	return false
}

// String returns the name used in JSON: "queued", "sent", "failed".
func (s Status) String() string {
	return [...]string{"", "queued", "sent", "failed"}[s]
}
