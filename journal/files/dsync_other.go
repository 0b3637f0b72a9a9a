//go:build !linux

package files

// nativeDSync is 0: O_DSYNC of macOS leaves the bytes in the cache of the disk, and Windows has none.
const nativeDSync = 0
