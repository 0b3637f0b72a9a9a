//go:build !torture

package broker

import "time"

// defaultSession is how long a member of a consumer group may be silent.
func defaultSession() time.Duration { return 10 * time.Second }
