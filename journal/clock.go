package journal

import "time"

// clock is the journal's time. It runs with the clock of the machine that goes on while the machine sleeps, and
// approaches the wall clock at a tenth of that: it never goes back, and a step of the wall clock is no step of the journal.
// The journal's mutex guards it.
type clock struct {
	of   Clock
	now  time.Duration // since 1970, at the boot time of
	boot time.Duration
	read time.Time // when the boot time was read last
}

// clockPause is for how long the boot time isn't read again: it takes a call of the system, which is more than all else
// that appending a small record does.
const clockPause = 250 * time.Microsecond

// startClock returns a clock that shows start now.
func startClock(of Clock, start time.Time) clock {
	return clock{of: of, now: time.Duration(start.UnixNano()), boot: of.Boot()}
}

// ms returns the time in ms since 1970.
func (c *clock) ms() int64 {
	wall := c.of.Wall()
	if since := wall.Sub(c.read); since < 0 || since >= clockPause {
		c.read = wall
		c.goOn(c.of.Boot(), wall)
	}
	return int64(c.now / time.Millisecond)
}

func (c *clock) goOn(boot time.Duration, wall time.Time) {
	elapsed := max(0, boot-c.boot)
	c.boot = max(c.boot, boot)
	c.now += elapsed
	off := time.Duration(wall.UnixNano()) - c.now
	c.now += min(max(off, -elapsed/10), elapsed/10)
}

// How far the wall clock may be from the last record at a start.
const (
	maxClockAhead  = 31 * 24 * time.Hour
	maxClockBehind = time.Minute
)

// startTime returns what the journal's time begins at, given the time of the last record: the later one of it and the
// wall clock. It is a ClockError if they are too far apart and accept isn't the date that the wall clock shows.
func startTime(wall, last time.Time, accept string) (time.Time, error) {
	off := wall.Sub(last)
	if (off > maxClockAhead || off < -maxClockBehind) && accept != wall.UTC().Format(time.DateOnly) {
		return time.Time{}, &ClockError{Wall: wall, Last: last}
	}
	if off < 0 {
		return last, nil
	}
	return wall, nil
}
