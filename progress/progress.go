// Package progress shows how far a long command is: a bar on a terminal, and lines that stay elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// How often it is shown: on a terminal, and elsewhere, where each is a line that stays.
const (
	redrawn = 200 * time.Millisecond
	printed = 5 * time.Second
)

// Show writes text to out again and again until stop is called, which returns when the last has been written. text is
// told how long it has been, and whether there is to be a bar; on a terminal it should be at most 80 characters, as a
// longer one would not be written over. With out nil nothing is shown.
func Show(out io.Writer, text func(took time.Duration, bar bool) string) (stop func()) {
	if out == nil {
		return func() {}
	}
	every, form := printed, "%s\n"
	terminal := IsTerminal(out)
	if terminal {
		every, form = redrawn, "\r%s\x1b[K"
	}
	began := time.Now()
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(out, form, text(time.Since(began), terminal))
			case <-stopping:
				if terminal {
					fmt.Fprint(out, "\r\x1b[K") // what comes next begins a line
				}
				return
			}
		}
	}()
	return func() { close(stopping); <-stopped }
}

// IsTerminal reports whether lines can be written over.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

const barWidth = 20

// Bar draws a share of 0 to 1.
func Bar(share float64) string {
	full := int(min(1, max(0, share)) * barWidth)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "]"
}

// Left is how long the rest takes if it goes on as what is done did, "?" if nothing is done.
func Left(rest, done int64, took time.Duration) string {
	if done <= 0 {
		return "?"
	}
	whole := int64(float64(rest) / float64(done) * max(took.Seconds(), 0.001))
	if whole >= 3600 {
		return fmt.Sprintf("%dh%02dm", whole/3600, whole/60%60)
	}
	return fmt.Sprintf("%dm%02ds", whole/60, whole%60)
}
