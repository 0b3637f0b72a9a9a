package mail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"stockflow/codecs"
	"stockflow/machines/notification"
)

// Outlet is where e-mails go. Send may be called at once. Its error is a *Refused when the e-mail will never be
// taken; any other says that it may be another time, or that it isn't known whether it was. It may quote the customer's address,
// as mail servers do in their answers.
type Outlet interface {
	Send(ctx context.Context, l Email) error
}

// Refused says that an e-mail will never be taken, as it is.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return "refused: " + r.Reason }

// refuse bounds a reason to what the log takes: one line of MaxReason characters.
func refuse(reason string) *Refused {
	line := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(reason, "?"), func(r rune) bool {
		return unicode.IsControl(r) || r == ' '
	}), " ")
	if runes := []rune(line); len(runes) > notification.MaxReason {
		line = string(runes[:notification.MaxReason-3]) + "..."
	}
	return &Refused{Reason: line}
}

// Email is an e-mail that is ready to go. Equal rows give equal letters, to the last byte.
type Email struct {
	ID      string // its Message-ID, without the angle brackets
	File    string // a name for it that is good for any file system
	From    netmail.Address
	To      netmail.Address
	Date    time.Time // when the order asked for it
	Subject string
	Text    string
	HTML    string
}

// messageID names an e-mail for ever: whoever gets it twice can tell.
func messageID(orderID string, k notification.Kind, from netmail.Address) string {
	_, domain, _ := strings.Cut(from.Address, "@")
	return fmt.Sprintf("%s.%s@%s", digest(orderID), k, domain)
}

// digest is short, and another one for every order.
func digest(orderID string) string {
	sum := sha256.Sum256([]byte(orderID))
	return hex.EncodeToString(sum[:16])
}

// longestName leaves room for a kind and an ending within the 255 bytes that file systems give a name.
const longestName = 150

// fileName writes an order's id with letters, digits, dots, dashes and underscores; all else becomes %XX, a dot at the
// beginning too. An id that gets too long that way ends in its digest. No two ids give the same name.
func fileName(orderID string, k notification.Kind) string {
	var b strings.Builder
	for i := range len(orderID) {
		switch c := orderID[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	name := b.String()
	if len(name) > longestName {
		name = name[:longestName-33] + "%" + digest(orderID)
	}
	return name + "." + k.String() + ".eml"
}

// addressOf returns the address of a customer.
func addressOf(name, email string) (netmail.Address, error) {
	if err := codecs.CheckEmail("the customer's e-mail", email); err != nil {
		return netmail.Address{}, refuse(err.Error())
	}
	return netmail.Address{Name: name, Address: email}, nil
}

// compose writes a letter as the mail library has it, which encodes whatever a header can't hold.
func (l Email) compose() *gomail.Msg {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("stockflow-"+digest(l.ID)))
	m.FromMailAddress(&l.From)
	m.ToMailAddress(&l.To)
	m.Subject(l.Subject)
	m.SetMessageIDWithValue(l.ID)
	m.SetDateWithValue(l.Date)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // so that no holiday notice is sent back (RFC 3834)
	m.SetBodyString(gomail.TypeTextPlain, l.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, l.HTML)
	return m
}
