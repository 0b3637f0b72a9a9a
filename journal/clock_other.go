//go:build !linux

package journal

import "time"

// machineClock is the machine's. That of Windows goes on while the machine sleeps. On macOS it doesn't, and the wall
// clock is approached after the sleep.
type machineClock struct{}

func (machineClock) Wall() time.Time     { return time.Now() }
func (machineClock) Boot() time.Duration { return time.Since(processStart) }

var processStart = time.Now()
