package codecs

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// What texts may be, in characters, but for maxIDBytes.
const (
	maxID       = 64
	maxIDBytes  = 192 // keeps a row with a thousand of them under 256 KiB
	maxText     = 200
	maxAddress  = 1_000
	maxShipping = 100 // carrier, tracking number
)

// CheckID returns what is wrong with an order id, a SKU, a location or another id, as an Invalid naming the field,
// or nil: 1 to 64 printable characters of at most 192 bytes, no slash, no blank at either end.
func CheckID(field, id string) error {
	var v Invalid
	v.add(field, idProblem(id))
	return v.Err()
}

// ParsePolicy returns the policy of that name, AllOrNothing for "". Its error is an Invalid.
func ParsePolicy(name string) (order.Policy, error) {
	policy, problem := parsePolicy(name)
	var v Invalid
	v.add("policy", problem)
	return policy, v.Err()
}

// CheckPlaced returns what is wrong with a placement that is in the log.
func CheckPlaced(p order.Placed) Invalid {
	return checkPlaced(p, func(email string) string { return textProblem(email, maxText) })
}

func checkPlaced(p order.Placed, email func(string) string) Invalid {
	var v Invalid
	v.add("customer.id", optional(idProblem, p.Customer.ID))
	v.add("customer.name", textProblem(p.Customer.Name, maxText))
	v.add("customer.email", email(p.Customer.Email))
	v.add("ship_to", addressProblem(p.ShipTo))
	if p.Policy > order.Backorder {
		v.add("policy", "is not known")
	}
	v.add("lines", linesProblem(len(p.Lines)))
	for i, line := range p.Lines {
		v.addAt("lines", i, "sku", idProblem(line.SKU))
		v.addAt("lines", i, "quantity", rangeProblem(line.Quantity, 1, inventory.MaxQuantity))
	}
	return v
}

// CheckCancel returns what is wrong with the cancellation of an order.
func CheckCancel(c order.Cancel) Invalid {
	var v Invalid
	v.add("reason", textProblem(c.Reason, maxText))
	return v
}

// CheckReceive returns what is wrong with a receipt.
func CheckReceive(r inventory.Receive) Invalid {
	var v Invalid
	v.add("quantity", rangeProblem(r.Quantity, 1, inventory.MaxQuantity))
	v.add("location", optional(idProblem, r.Location))
	v.add("reference", textProblem(r.Reference, maxText))
	v.add("id", optional(idProblem, r.ID))
	return v
}

// CheckAdjust returns what is wrong with an adjustment.
func CheckAdjust(a inventory.Adjust) Invalid {
	var v Invalid
	if a.Quantity == 0 {
		v.add("quantity", "must not be 0")
	}
	v.add("quantity", rangeProblem(a.Quantity, -inventory.MaxQuantity, inventory.MaxQuantity))
	if !slices.Contains(inventory.AdjustmentReasons, a.Reason) {
		v.add("reason", "must be one of "+strings.Join(inventory.AdjustmentReasons, ", ")+", is "+quoted(a.Reason))
	}
	v.add("location", optional(idProblem, a.Location))
	v.add("id", optional(idProblem, a.ID))
	return v
}

// CheckDispatch returns what is wrong with a dispatch.
func CheckDispatch(d shipment.Dispatch) Invalid {
	var v Invalid
	v.add("carrier", shippingProblem(d.Carrier))
	v.add("tracking_number", shippingProblem(d.TrackingNumber))
	return v
}

// The functions below return what is wrong with one value, "" if nothing is.

func parsePolicy(name string) (order.Policy, string) {
	if name == "" {
		return order.AllOrNothing, ""
	}
	for p := order.AllOrNothing; p <= order.Backorder; p++ {
		if p.String() == name {
			return p, ""
		}
	}
	return 0, "must be all_or_nothing, partial or backorder, is " + quoted(name)
}

func idProblem(id string) string {
	if plain(id) {
		return ""
	}
	switch problem := lengthProblem(id, maxID); {
	case id == "":
		return "is missing"
	case problem != "":
		return problem
	case len(id) > maxIDBytes:
		return fmt.Sprintf("must be at most %d bytes, is %d", maxIDBytes, len(id))
	case strings.Contains(id, "/"):
		return "must not contain a slash"
	case id[0] == ' ' || id[len(id)-1] == ' ':
		return "must not begin or end with a blank"
	}
	return characterProblem(id, unicode.IsPrint)
}

// plain reports whether nothing can be wrong with an id: it is short, and of ASCII's letters, digits and signs alone, as most are.
func plain(id string) bool {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '/' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// optional checks a value that may be left out.
func optional(problem func(string) string, s string) string {
	if s == "" {
		return ""
	}
	return problem(s)
}

// textProblem refuses control characters above all: a line break in a name would add headers to an e-mail.
func textProblem(s string, most int) string {
	if problem := lengthProblem(s, most); problem != "" {
		return problem
	}
	return characterProblem(s, func(r rune) bool { return !unicode.IsControl(r) })
}

func addressProblem(s string) string {
	if problem := lengthProblem(s, maxAddress); problem != "" {
		return problem
	}
	return characterProblem(s, func(r rune) bool { return !unicode.IsControl(r) || strings.ContainsRune("\r\n\t", r) })
}

func shippingProblem(s string) string {
	if strings.TrimSpace(s) == "" {
		return "is missing"
	}
	if problem := lengthProblem(s, maxShipping); problem != "" {
		return problem
	}
	return characterProblem(s, unicode.IsPrint)
}

// lengthProblem also finds what is not UTF-8, which the generated code takes for a string.
func lengthProblem(s string, most int) string {
	if !utf8.ValidString(s) {
		return "must be UTF-8"
	}
	if len(s) <= most {
		return ""
	}
	if n := utf8.RuneCountInString(s); n > most {
		return fmt.Sprintf("must be at most %d characters, is %d", most, n)
	}
	return ""
}

func characterProblem(s string, allowed func(rune) bool) string {
	for _, r := range s {
		if !allowed(r) {
			return fmt.Sprintf("must not contain the character %U", r)
		}
	}
	return ""
}

func rangeProblem(n, low, high int64) string {
	if low <= n && n <= high {
		return ""
	}
	return fmt.Sprintf("must be %d to %d, is %d", low, high, n)
}

func linesProblem(n int) string {
	if 1 <= n && n <= order.MaxLines {
		return ""
	}
	return fmt.Sprintf("must be 1 to %d lines, is %d", order.MaxLines, n)
}

// quoted shows the beginning of a value, in characters that every log and terminal can show, and without e-mail addresses.
func quoted(s string) string {
	s = RedactAddresses(s)
	if len(s) > maxID {
		return fmt.Sprintf("%+q...", s[:maxID])
	}
	return fmt.Sprintf("%+q", s)
}
