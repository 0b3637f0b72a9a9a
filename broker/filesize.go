//go:build !torture

package broker

// segmentBytes is the size of the log's files. At its start the server has one of each partition in memory, and an entry for each
// batch of the last one, which is not merged; and it keeps each open that was read.
func segmentBytes() int { return 8 << 20 }
