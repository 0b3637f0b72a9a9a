package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"stockflow/api"
	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/views"
)

// listDeadLetters prints a table, or a JSON object for each letter.
type listDeadLetters struct {
	logsAt         `embed:""`
	Topic          string `help:"Only of this log." placeholder:"LOG"`
	ReasonContains string `help:"Only if the reason has this in it." placeholder:"TEXT"`
	Since          since  `help:"Only what came into its log since then: 2026-11-23T19:00:00Z, or 2h for the last two hours." placeholder:"TIME"`
	Limit          int    `help:"At most so many; 0 is no limit." default:"50"`
	JSON           bool   `help:"One JSON object a line." name:"json"`
}

// since is a time, in milliseconds since 1970.
type since int64

// UnmarshalText reads a time, or how long ago it was.
func (s *since) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil {
		*s = since(time.Now().Add(-ago).UnixMilli())
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a time as 2026-11-23T19:00:00Z nor a duration as 2h", text)
	}
	*s = since(at.UnixMilli())
	return nil
}

// Validate returns what is wrong with the flags.
func (c listDeadLetters) Validate() error {
	if c.Limit < 0 {
		return fmt.Errorf("--limit: must be 0 or more, is %d", c.Limit)
	}
	return nil
}

// Run lists the letters.
func (c listDeadLetters) Run(stdout io.Writer, log *slog.Logger) error {
	return c.run(log, broker.Reading, func(ctx context.Context, conn broker.Broker) error {
		letters := views.NewDeadLetters(conn, func(d codecs.DeadLetter) bool {
			return d.At >= int64(c.Since) && strings.Contains(d.Reason, c.ReasonContains)
		})
		shown, more, err := c.pages(ctx, letters, stdout)
		if err != nil || c.JSON {
			return err
		}
		switch {
		case shown == 0:
			fmt.Fprintln(stdout, "no dead letters")
		case more:
			fmt.Fprintf(stdout, "these are the newest %d; there are more, see --limit\n", shown)
		}
		if n, err := letters.Unreadable(ctx); err == nil && n > 0 {
			fmt.Fprintf(stdout, "%d records among them are no dead letters\n", n)
		}
		return nil
	})
}

// pageOfDeadLetters is how many are asked for at once.
const pageOfDeadLetters = 200

// pages prints the letters page by page, so that it holds one of them only.
func (c listDeadLetters) pages(ctx context.Context, letters *views.DeadLetters, stdout io.Writer) (shown int, more bool, err error) {
	var before *views.DeadLetterPlace
	for more = true; more && (c.Limit == 0 || shown < c.Limit); {
		limit := pageOfDeadLetters
		if c.Limit > 0 {
			limit = min(limit, c.Limit-shown)
		}
		var page []views.DeadLetter
		if page, more, err = letters.Page(ctx, c.Topic, before, limit); err != nil || len(page) == 0 {
			return shown, more, err
		}
		if err := c.print(stdout, page, shown == 0); err != nil {
			return shown, more, err
		}
		shown += len(page)
		place := page[len(page)-1].Place()
		before = &place
	}
	return shown, more, nil
}

func (c listDeadLetters) print(stdout io.Writer, page []views.DeadLetter, first bool) error {
	if c.JSON {
		lines := json.NewEncoder(stdout)
		for _, l := range page {
			if err := lines.Encode(api.ShowDeadLetter(l)); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	if first {
		fmt.Fprintln(table, "ID\tWHEN\tKEY\tEVENT\tREDRIVEN\tREASON")
	}
	for _, l := range page {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(l.ID().String()), whenOf(l), orDash(printable(string(l.Key))), orDash(printable(l.Event)),
			orDash(timesOf(l.Redriven)), printable(l.Reason))
	}
	return table.Flush()
}

// printable keeps what others have written from moving the cursor of a terminal, or worse.
func printable(text string) string {
	quoted := strconv.QuoteToGraphic(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func whenOf(l views.DeadLetter) string {
	return time.UnixMilli(l.At).UTC().Format("2006-01-02T15:04:05.000Z")
}

func timesOf(redriven int) string {
	if redriven == 0 {
		return ""
	}
	return strconv.Itoa(redriven)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
