package load

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// How often the progress is shown: on a terminal, and elsewhere, where each is a line that stays.
const (
	redrawn = 200 * time.Millisecond
	printed = 5 * time.Second
)

// show shows the progress until stop is called, which returns when the last has been written.
func (l *loading) show(size int64) (stop func()) {
	out := l.options.Out
	if out == nil {
		return func() {}
	}
	pace := pace{kind: l.options.Kind, size: size, start: l.snapshot()}
	every, form := printed, "%s\n"
	terminal := isTerminal(out)
	if terminal {
		every, form = redrawn, "\r%s\x1b[K"
	}
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(out, form, pace.text(l.snapshot(), time.Since(l.began), terminal))
			case <-stopping:
				if terminal {
					fmt.Fprint(out, "\r\x1b[K") // the summary follows
				}
				return
			}
		}
	}()
	return func() { close(stopping); <-stopped }
}

// isTerminal reports whether lines can be written over.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// pace puts progress into words.
type pace struct {
	kind  string
	size  int64    // of the file
	start progress // where this run went on
}

const barWidth = 20

// text is at most 80 characters: a longer one would not be written over.
func (p pace) text(now progress, took time.Duration, bar bool) string {
	share := 1.0
	if p.size > 0 {
		share = min(1, float64(now.Offset)/float64(p.size))
	}
	drawn := ""
	if bar {
		full := int(share * barWidth)
		drawn = "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "] "
	}
	sent, seconds := now.Entries-p.start.Entries, max(took.Seconds(), 0.001)
	return fmt.Sprintf("%s %s%3.0f%% of %s, line %d, %.0f/s, %s left", p.kind, drawn, share*100, bytesText(p.size), now.Line,
		float64(sent)/seconds, left(p.size-now.Offset, now.Offset-p.start.Offset, seconds))
}

// left is how long the rest takes if it goes on like this.
func left(rest, done int64, seconds float64) string {
	if done <= 0 {
		return "?"
	}
	whole := int64(float64(rest) / float64(done) * seconds)
	if whole >= 3600 {
		return fmt.Sprintf("%dh%02dm", whole/3600, whole/60%60)
	}
	return fmt.Sprintf("%dm%02ds", whole/60, whole%60)
}

func bytesText(n int64) string {
	size, unit := float64(n), "B"
	for _, larger := range []string{"kB", "MB", "GB", "TB"} {
		if size < 1000 {
			break
		}
		size, unit = size/1000, larger
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}
