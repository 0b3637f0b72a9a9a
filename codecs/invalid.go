package codecs

import (
	"fmt"
	"strings"
)

// Invalid lists everything that is wrong with an event or a command, in the order of its fields. Empty means that
// nothing is; since an empty Invalid is not a nil error, return Err where an error is asked for.
type Invalid []FieldError

// FieldError is one thing that is wrong.
type FieldError struct {
	Field   string // as in JSON: "lines[3].quantity"
	Problem string // what it must be, and what it is: "must be 1 to 1000000000, is -5"
}

// shownProblems is how many problems an error text lists. A dead letter shall not outgrow the message that it holds.
const shownProblems = 10

// Error lists the problems, the first ten in full.
func (v Invalid) Error() string {
	var text strings.Builder
	for i, f := range v {
		if i == shownProblems {
			fmt.Fprintf(&text, "; and %d more", len(v)-i)
			break
		}
		if i > 0 {
			text.WriteString("; ")
		}
		text.WriteString(f.Field + ": " + f.Problem)
	}
	return text.String()
}

// Err returns v, or nil if nothing is wrong.
func (v Invalid) Err() error {
	if len(v) == 0 {
		return nil
	}
	return v
}

// add notes a problem of a field, if there is one.
func (v *Invalid) add(field, problem string) {
	if problem != "" {
		*v = append(*v, FieldError{field, problem})
	}
}

// addAt notes a problem of a field of the element i of a list. The name is only put together when it is needed,
// as a log is read far more often than it is wrong.
func (v *Invalid) addAt(list string, i int, field, problem string) {
	if problem != "" {
		v.add(fmt.Sprintf("%s[%d].%s", list, i, field), problem)
	}
}
