package journal

import (
	"time"

	"golang.org/x/sys/unix"
)

// machineClock is the machine's.
type machineClock struct{}

func (machineClock) Wall() time.Time { return time.Now() }

func (machineClock) Boot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(processStart) // a kernel without CLOCK_BOOTTIME is older than Go supports
	}
	return time.Duration(t.Nano())
}

var processStart = time.Now()
