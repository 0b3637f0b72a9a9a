package codecs

import (
	netmail "net/mail"
	"regexp"

	"stockflow/machines/order"
)

// CheckPlacement returns what is wrong with an order that is about to be placed: whatever CheckPlaced finds, and an e-mail address
// that nothing can be sent to. The log takes such an order all the same, from whoever writes to it, and its mails fail.
func CheckPlacement(p order.Placed) Invalid {
	return checkPlaced(p, func(email string) string {
		if problem := textProblem(email, maxText); problem != "" {
			return problem
		}
		return optional(emailProblem, email)
	})
}

// CheckEmail returns what is wrong with an address that e-mail is to be sent to, as an Invalid naming the field, or nil: it is
// one address and nothing else, as a name or a second address in it would be taken for more than it was meant to be. The error
// doesn't quote the address.
func CheckEmail(field, email string) error {
	var v Invalid
	v.add(field, emailProblem(email))
	return v.Err()
}

func emailProblem(email string) string {
	a, err := netmail.ParseAddress(email)
	switch {
	case err != nil:
		return "must be an e-mail address, such as name@example.com"
	case a.Address != email:
		return "must be an e-mail address alone, such as name@example.com"
	}
	return ""
}

// addressLike finds what looks like an e-mail address, also where its @ is encoded as in a bounce address, a URL or JSON.
var addressLike = regexp.MustCompile(`(?i)[^\s<>()\[\]{},;:"'|]+(@|＠|=40|\+40|%40|&#64;|&#x40;|\\u0040|\\x40)[^\s<>()\[\]{},;:"'|]*`)

// Redacted takes the place of an e-mail address.
const Redacted = "[address]"

// longestRedacted bounds what is searched for addresses, in bytes: a message may quote megabytes.
const longestRedacted = 2_000

// RedactAddresses returns text, which somebody else wrote, with each e-mail address in it replaced, so that it may go into a log.
// What is longer than 2,000 bytes is cut there.
func RedactAddresses(text string) string {
	if len(text) > longestRedacted {
		text = text[:longestRedacted] + "..."
	}
	return addressLike.ReplaceAllLiteralString(text, Redacted)
}
