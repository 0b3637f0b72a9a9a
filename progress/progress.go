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
	return screen{out, IsTerminal(out), time.Now, ticker}.show(text)
}

// ticker is a time.Ticker that is stopped with a function.
func ticker(every time.Duration) (ticks <-chan time.Time, stop func()) {
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// screen is where it is shown, and the time that passes there.
type screen struct {
	out      io.Writer
	terminal bool
	now      func() time.Time
	ticker   func(every time.Duration) (ticks <-chan time.Time, stop func())
}

func (s screen) show(text func(took time.Duration, bar bool) string) (stop func()) {
	every, form := printed, "%s\n"
	if s.terminal {
		every, form = redrawn, "\r%s\x1b[K"
	}
	began := s.now()
	ticks, stopTicks := s.ticker(every)
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		defer stopTicks()
		for {
			select {
			case <-ticks:
				fmt.Fprintf(s.out, form, text(s.now().Sub(began), s.terminal))
			case <-stopping:
				if s.terminal {
					fmt.Fprint(s.out, "\r\x1b[K") // what comes next begins a line
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
