package load

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Counts is what became of the rows of a file.
type Counts struct {
	Rows        int64 `json:"rows"`
	Orders      int64 `json:"orders"`      // that were taken, whatever their outcome
	Confirmed   int64 `json:"confirmed"`   // and those that were shipped since
	Backordered int64 `json:"backordered"` // waiting for stock
	Rejected    int64 `json:"rejected"`    // taken, and there was not enough stock
	Cancelled   int64 `json:"cancelled"`   // since they were taken
	Pending     int64 `json:"pending"`     // taken, with an outcome that was not known in time, or not waited for; it may be a refusal
	Receipts    int64 `json:"receipts"`
	Adjustments int64 `json:"adjustments"`
	Refused     int64 `json:"refused"`      // orders and movements that Stockflow refused: an id with other content, less on hand than is taken away
	RefusedRows int64 `json:"refused_rows"` // of those
	BadRows     int64 `json:"bad_rows"`     // that nothing could be made of

	Undecided     int64 `json:"undecided"` // of those pending: waited for until patience ended, and in the rejects file
	UndecidedRows int64 `json:"undecided_rows"`
}

// Summary is what became of a file, over all runs that it took.
type Summary struct {
	File    string  `json:"file"`
	Kind    string  `json:"kind"`
	Done    bool    `json:"done"` // the end of the file was reached
	Line    int64   `json:"line"` // up to which all is settled
	From    int64   `json:"from"` // the line behind which this run went on, 0 if it began at the beginning
	Seconds float64 `json:"seconds"`
	Counts
	Rejects string `json:"rejects,omitempty"` // the file with the rows that were not taken, or not decided in time
}

// AllAccepted reports whether no row was left out, and none that was waited for is undecided.
func (s Summary) AllAccepted() bool {
	return s.Done && s.Refused == 0 && s.BadRows == 0 && s.Undecided == 0
}

// LeftOut says how many rows are in the rejects file, and where that is.
func (s Summary) LeftOut() string {
	text := fmt.Sprintf("%d rows were not taken", s.BadRows+s.RefusedRows)
	if s.UndecidedRows > 0 {
		text += fmt.Sprintf(", %d were not decided in time", s.UndecidedRows)
	}
	return text + "; they are in " + s.Rejects + " with the reasons"
}

// WriteJSON writes the summary for machines, on one line.
func (s Summary) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(s) }

// WriteText writes the summary for people.
func (s Summary) WriteText(w io.Writer) error {
	var text strings.Builder
	took := time.Duration(s.Seconds * float64(time.Second)).Round(100 * time.Millisecond)
	fmt.Fprintf(&text, "%s: %s rows", s.File, grouped(s.Rows))
	switch {
	case !s.Done:
		fmt.Fprintf(&text, ", up to line %d, in %v", s.Line, took)
	case s.From == s.Line && s.From > 0:
		text.WriteString(", all of them loaded before")
	default:
		fmt.Fprintf(&text, " in %v", took)
	}
	if s.From > 0 && s.From != s.Line {
		fmt.Fprintf(&text, ", begun behind line %d", s.From)
	}
	text.WriteString("\n")
	for _, l := range s.lines() {
		if l.always || l.n > 0 {
			fmt.Fprintf(&text, "  %-12s %10s%s\n", l.name, grouped(l.n), l.remark)
		}
	}
	if s.Rejects != "" {
		fmt.Fprintf(&text, "  what was not taken%s is in %s\n", orDecided(s.Undecided), s.Rejects)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

type summaryLine struct {
	name   string
	n      int64
	always bool
	remark string
}

func (s Summary) lines() []summaryLine {
	end := []summaryLine{
		{"refused", s.Refused, true, remarkOn(s.RefusedRows, s.Refused)}, {"bad rows", s.BadRows, true, ""},
	}
	if s.Kind == Stock {
		return append([]summaryLine{
			{"receipts", s.Receipts, true, ""}, {"adjustments", s.Adjustments, true, ""}, {"pending", s.Pending, false, s.remarkOnPending()},
		}, end...)
	}
	return append([]summaryLine{
		{"orders", s.Orders, true, ""}, {"confirmed", s.Confirmed, true, ""}, {"backordered", s.Backordered, true, ""},
		{"rejected", s.Rejected, true, ""}, {"cancelled", s.Cancelled, false, ""}, {"pending", s.Pending, true, s.remarkOnPending()},
	}, end...)
}

func remarkOn(rows, of int64) string {
	if rows == of {
		return ""
	}
	return fmt.Sprintf("  (%s rows)", grouped(rows))
}

// remarkOnPending says why outcomes are not known.
func (s Summary) remarkOnPending() string {
	var parts []string
	if s.Undecided > 0 {
		parts = append(parts, grouped(s.Undecided)+" not decided in time")
	}
	if unwaited := s.Pending - s.Undecided; unwaited > 0 {
		parts = append(parts, grouped(unwaited)+" not waited for, and what is refused of them is not told here")
	}
	if len(parts) == 0 {
		return ""
	}
	return "  (" + strings.Join(parts, "; ") + ")"
}

func orDecided(undecided int64) string {
	if undecided == 0 {
		return ""
	}
	return " or not decided"
}

// grouped writes a number with commas between thousands.
func grouped(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func (p progress) summary(o Options) Summary {
	s := Summary{File: p.File, Kind: o.Kind, Done: p.Done, Line: p.Line, From: p.Line, Counts: p.Counts}
	if p.Rejects > 0 {
		s.Rejects = o.rejects()
	}
	return s
}
