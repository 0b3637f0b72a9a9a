package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
	"unicode"
	"unicode/utf8"

	"stockflow/api"
	"stockflow/broker"
	"stockflow/processors"
	"stockflow/views"
)

// showDeadLetter prints a letter with its headers and its value.
type showDeadLetter struct {
	logsAt `embed:""`
	ID     string `arg:"" help:"The letter, as list has it: TOPIC/PARTITION/OFFSET."`
	JSON   bool   `help:"As a JSON object; bytes that are no text are in base64." name:"json" xor:"form"`
	Raw    bool   `help:"The value alone, to the byte: to repair it and send it with redrive --value." xor:"form"`
}

// Run prints the letter.
func (c showDeadLetter) Run(stdout io.Writer, log *slog.Logger) error {
	id, err := views.ParseDeadLetterID(c.ID)
	if err != nil {
		return err
	}
	return c.run(log, broker.Reading, func(ctx context.Context, conn broker.Broker) error {
		found := false
		err := views.NewDeadLetters(conn, nil).Walk(ctx, func(other views.DeadLetterID, _ int) bool { return other == id }, func(l views.DeadLetter) error {
			found = true
			return c.print(stdout, l)
		})
		if err == nil && !found {
			err = noDeadLetter(id)
		}
		return err
	})
}

func noDeadLetter(id views.DeadLetterID) error {
	return fmt.Errorf("there is no dead letter %s", printable(id.String()))
}

func (c showDeadLetter) print(stdout io.Writer, l views.DeadLetter) error {
	switch {
	case c.Raw && l.NoValue:
		return errors.New("the message has no value")
	case c.Raw:
		_, err := stdout.Write(l.Value)
		if err == nil && l.Cut != nil {
			err = fmt.Errorf("the message was too large: these are the first %d bytes of %d", len(l.Value), l.Cut.Size)
		}
		return err
	case c.JSON:
		lines := json.NewEncoder(stdout)
		lines.SetIndent("", "  ")
		return lines.Encode(api.ShowWholeDeadLetter(l))
	}
	redriven := "never"
	if l.Redriven > 0 {
		redriven = fmt.Sprintf("%d times", l.Redriven)
	}
	for _, line := range [][2]string{
		{"letter", l.ID().String()}, {"in its log", whenOf(l)}, {"key", fmt.Sprintf("%q", l.Key)}, {"event", orDash(l.Event)},
		{"reason", l.Reason}, {"redriven", redriven}, {"skipped", skippedOf(l)},
	} {
		fmt.Fprintf(stdout, "%-11s %s\n", line[0], printable(line[1]))
	}
	for _, h := range l.Headers {
		fmt.Fprintf(stdout, "%-11s %s: %s\n", "header", printable(h.Key), printable(string(h.Value)))
	}
	fmt.Fprintf(stdout, "%-11s %s\n", "value", valueOf(l))
	return nil
}

// shownBytes is how much of a value is shown.
const shownBytes = 4 << 10

// valueOf shows a value as JSON if it is a message of its log, else as text if it is one, else as bytes.
func valueOf(l views.DeadLetter) string {
	if l.NoValue {
		return "none"
	}
	form, text := "bytes", ""
	if shown, err := processors.Show(l.Topic, l.Value); err == nil {
		if asJSON, err := shown.JSON(); err == nil {
			form, text = "as JSON", string(asJSON)
		}
	}
	if text == "" && isText(l.Value) {
		form, text = "as text", string(l.Value)
	}
	cut := ""
	if text == "" {
		if len(l.Value) > shownBytes {
			cut = "..., the rest with --raw"
		}
		text = hex.Dump(l.Value[:min(len(l.Value), shownBytes)])
	} else if len(text) > shownBytes {
		text, cut = text[:shownBytes], "..., the rest with --raw"
	}
	return fmt.Sprintf("%s, %s:\n%s%s", sizeOf(l), form, text, cut)
}

// sizeOf says how large the value is, and what there is of it.
func sizeOf(l views.DeadLetter) string {
	c := l.Cut
	if c == nil {
		return fmt.Sprintf("%d bytes", len(l.Value))
	}
	left := ""
	if c.Headers > 0 {
		left = fmt.Sprintf("; %s left out", counted(int(c.Headers), "header"))
	}
	return fmt.Sprintf("%d bytes with the SHA-256 %x, too large to be kept%s; the first %d", c.Size, c.SHA256, left, len(l.Value))
}

// skippedOf says when it was asked for that the message be skipped.
func skippedOf(l views.DeadLetter) string {
	if l.Skip == nil {
		return "no"
	}
	return "asked for " + time.UnixMilli(l.Skip.Asked).UTC().Format(time.RFC3339)
}

// isText reports whether a value can be shown on a terminal as it is.
func isText(value []byte) bool {
	if !utf8.Valid(value) {
		return false
	}
	for _, r := range string(value) {
		if !unicode.IsGraphic(r) && r != '\n' && r != '\t' {
			return false
		}
	}
	return true
}
