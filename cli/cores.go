package cli

import (
	"os"
	"runtime"
)

// blocked is how many goroutines may wait for the disk at once: the journal's writer, who prepares and seals its files, and
// flushes and compactions of stores.
const blocked = 6

// keepCoresBusy lets goroutines run on each core while others wait for the disk. One that waits in a system call keeps its
// place among GOMAXPROCS until the runtime's monitor takes it, some 20 us to 10 ms later; on a machine of two cores, where
// the journal's writer is nearly always in a write, one of them would be idle for much of the time. Whoever sets GOMAXPROCS
// decides. Changes of a container's share of the machine are no longer followed after this.
func keepCoresBusy() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + blocked)
	}
}
