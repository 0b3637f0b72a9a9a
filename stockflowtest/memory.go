package stockflowtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is how many bytes of a process are resident; 0 where the system doesn't say so.
func Memory(pid int) int64 { return memory(pid, "VmRSS:") }

// Anonymous is how many bytes of it are its own, and no copy of a file.
func Anonymous(pid int) int64 { return memory(pid, "RssAnon:") }

// MostMemory is how many were at most.
func MostMemory(pid int) int64 { return memory(pid, "VmHWM:") }

func memory(pid int, what string) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), what)
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kib, 10, 64)
	return n << 10
}
