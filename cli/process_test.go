package cli

import (
	"flag"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"stockflow/stockflowtest"
)

// TestMain is where a process of the tests begins. There are more tests side by side than there are
// processors, as most of them wait: for the disk, or for answers. Memory there is enough, so the collector is to take less time.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
		if err := os.Setenv("GOGC", "400"); err != nil { // for verify and replay, which would set it for all, and for processes
			panic(err)
		}
	}
	if slowed == 1 { // under the race detector they have enough to do
		if err := flag.Set("test.parallel", "5"); err != nil { // what the command line says comes after it
			panic(err)
		}
	}
	stockflowtest.Main(m, Main, removeTrades)
}

// skipUnderRace skips a test under the race detector that is long there, and of commands that shorter tests try there.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if slowed > 1 {
		t.Skip("shorter tests try the same commands under the race detector")
	}
}

// spawn starts a process with a command line.
func spawn(t *testing.T, args ...string) *stockflowtest.Process {
	t.Helper()
	return stockflowtest.Spawn(t, nil, args...)
}

// ready waits until a server is ready, and returns a client of it.
func ready(t *testing.T, p *stockflowtest.Process) *shop {
	t.Helper()
	if err := p.Await(p.Ready, "ready"); err != nil {
		t.Fatal(err)
	}
	return newShop(t, strings.TrimPrefix(p.HTTP, "http://"))
}

// spawnServer starts a server on a directory, on a port of the system's choice, with more flags if there are any, and waits
// until it is ready.
func spawnServer(t *testing.T, dir string, flags ...string) (*stockflowtest.Process, *shop) {
	t.Helper()
	p := spawn(t, append([]string{"serve", "--http", "127.0.0.1:0", "--data", dir}, flags...)...)
	return p, ready(t, p)
}
