//go:build torture

package broker

import (
	"os"
	"time"
)

// defaultSession is what the environment says: package torture outsits many sessions, and has not all day.
func defaultSession() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("TORTURE_SESSION")); err == nil {
		return d
	}
	return 10 * time.Second
}
