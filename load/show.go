package load

import (
	"fmt"
	"time"

	meter "stockflow/progress" // load has a progress of its own, the file's
)

// show shows the progress until stop is called.
func (l *loading) show(size int64) (stop func()) {
	pace := pace{kind: l.options.Kind, size: size, start: l.snapshot()}
	return meter.Show(l.options.Out, func(took time.Duration, bar bool) string { return pace.text(l.snapshot(), took, bar) })
}

// pace puts progress into words.
type pace struct {
	kind  string
	size  int64    // of the file
	start progress // where this run went on
}

// text is at most 80 characters: a longer one would not be written over.
func (p pace) text(now progress, took time.Duration, bar bool) string {
	share := 1.0
	if p.size > 0 {
		share = min(1, float64(now.Offset)/float64(p.size))
	}
	drawn := ""
	if bar {
		drawn = meter.Bar(share) + " "
	}
	sent, seconds := now.Entries-p.start.Entries, max(took.Seconds(), 0.001)
	return fmt.Sprintf("%s %s%3.0f%% of %s, line %d, %.0f/s, %s left", p.kind, drawn, share*100, bytesText(p.size), now.Line,
		float64(sent)/seconds, meter.Left(p.size-now.Offset, now.Offset-p.start.Offset, took))
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
