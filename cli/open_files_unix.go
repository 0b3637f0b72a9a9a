//go:build unix

package cli

import "golang.org/x/sys/unix"

// openFilesLimit returns how many files the process may have open, 0 if nobody knows. The Go runtime has raised it as far
// as it may.
func openFilesLimit() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // it is signed on some systems
}
