package api

import (
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest that a client may wait for an outcome.
const maxWait = 10 * time.Second

// preference is what a client says in the header Prefer (RFC 7240).
type preference struct {
	wait  time.Duration // 0 to maxWait
	given bool          // a wait was asked for
}

// parsePrefer reads the lines of the header. What is malformed is ignored, as the RFC wants it, and of several waits
// the first counts. A wait longer than maxWait is cut to that.
func parsePrefer(lines []string) preference {
	if len(lines) == 0 {
		return preference{}
	}
	for _, p := range split(strings.Join(lines, ","), ',') {
		p = split(p, ';')[0] // parameters of wait mean nothing
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		if wait, ok := seconds(unquote(strings.TrimSpace(value))); ok {
			return preference{wait, true}
		}
	}
	return preference{}
}

// applied is the value of Preference-Applied.
func (p preference) applied() string {
	return "wait=" + strconv.Itoa(int(p.wait/time.Second))
}

// seconds reads a number of seconds in digits alone, however many.
func seconds(digits string) (time.Duration, bool) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	if most := int(maxWait / time.Second); err != nil || n > most {
		n = most
	}
	return time.Duration(n) * time.Second, true
}

// split cuts s at each separator that is not within a quoted string. It returns at least one piece.
func split(s string, separator byte) []string {
	var pieces []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++ // what is escaped ends nothing
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			pieces, from = append(pieces, s[from:i]), i+1
		}
	}
	return append(pieces, s[from:])
}

// unquote returns what is between quotes, or s if it has none. Digits need no escapes, so none are undone.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
