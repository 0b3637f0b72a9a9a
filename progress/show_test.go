package progress

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestShowing: on a terminal one line is written over again and again, with a bar, and is gone in the end; elsewhere, in
// a log say, each line stays, and there are few of them.
func TestShowing(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		every    time.Duration
		want     string
	}{
		{true, 200 * time.Millisecond, "\r1s, bar: true\x1b[K\r2s, bar: true\x1b[K\r\x1b[K"},
		{false, 5 * time.Second, "1s, bar: false\n2s, bar: false\n"},
	} {
		var out bytes.Buffer
		var now, stopped int
		var every time.Duration
		ticks := make(chan time.Time)
		clock := func() time.Time { now++; return time.Unix(int64(now), 0) }
		ticker := func(d time.Duration) (<-chan time.Time, func()) {
			every = d
			return ticks, func() { stopped++ }
		}
		stop := screen{&out, c.terminal, clock, ticker}.show(func(took time.Duration, bar bool) string {
			return fmt.Sprintf("%v, bar: %t", took, bar)
		})
		ticks <- time.Time{}
		ticks <- time.Time{}
		stop()
		if out.String() != c.want || every != c.every || stopped != 1 {
			t.Errorf("on a terminal: %t: got %q, every %v, ended %d times; expected %q, every %v", c.terminal, out.String(), every, stopped, c.want, c.every)
		}
	}
}

// TestWhatIsATerminal: a device that takes characters, unless it says that it is dumb.
func TestWhatIsATerminal(t *testing.T) {
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	t.Setenv("TERM", "xterm")
	if IsTerminal(&bytes.Buffer{}) || IsTerminal(file) || !IsTerminal(device) {
		t.Errorf("a buffer: %t, a file: %t, a device: %t", IsTerminal(&bytes.Buffer{}), IsTerminal(file), IsTerminal(device))
	}
	t.Setenv("TERM", "dumb")
	if IsTerminal(device) {
		t.Error("a dumb one is a terminal")
	}
}
