//go:build torture

package broker

import (
	"os"
	"strconv"
)

// segmentBytes is what the environment says: package torture wants files that are full, and has not all day.
func segmentBytes() int {
	if n, err := strconv.Atoi(os.Getenv("TORTURE_SEGMENT")); err == nil {
		return n
	}
	return 8 << 20
}
