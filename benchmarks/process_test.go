package benchmarks

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stockflow/cli"

	processes "stockflow/stockflowtest"
)

// part makes this test binary a Stockflow in a process of its own, so that its memory is seen alone: a server in a directory, which
// says what it holds when it is asked, or any command.
const part = "STOCKFLOW_BENCHMARK_PART"

func TestMain(m *testing.M) {
	switch os.Getenv(part) {
	case "":
		processes.Main(m, func() { go collectWhenAsked(); cli.Main() })
	case "command":
		cli.Main()
	case "server":
		s, err := cli.Serve{
			HTTP: "127.0.0.1:0", Data: os.Args[1], Partitions: shopPartitions, NoHistory: len(os.Args) > 2,
		}.Start(context.Background(), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
		attend(err, func() string { return s.HTTPAddr() }, func() error { return s.Stop() })
	}
}

// collecting names the file that asks a server to give back what memory it doesn't need.
const collecting = "STOCKFLOW_BENCHMARK_COLLECTING"

// collectWhenAsked does so at each SIGUSR1, and removes the file then.
func collectWhenAsked() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	for range asked {
		runtime.GC() // what had a finalizer goes with the second
		debug.FreeOSMemory()
		if err := os.Remove(os.Getenv(collecting)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// attend prints the address of what has started, then a sample for each line that comes in, and ends with the input:
// so no process outlives its benchmark.
func attend(err error, address func() string, stop func() error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(address())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		_ = json.NewEncoder(os.Stdout).Encode(takeSample())
	}
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// sample is what a process holds.
type sample struct {
	Resident int64         // what the system has given it, in bytes, garbage included
	Live     int64         // what the heap holds after a collection
	Peak     int64         // the most that was ever resident
	Used     time.Duration // of all processors
}

func takeSample() sample {
	resident := residentBytes()
	runtime.GC()
	runtime.GC() // what had a finalizer, or lay in a pool, goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{resident, int64(m.HeapAlloc), processes.MostMemory(os.Getpid()), processorTime()}
}

func residentBytes() int64 { return processes.Memory(os.Getpid()) }

// process is a part that runs.
type process struct {
	t       testing.TB
	stdin   io.WriteCloser
	stdout  *bufio.Reader
	address string
	stop    func() // returns when it has ended
}

// start starts a part, which ends with the benchmark.
func start(t testing.TB, name string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), part+"="+name)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, stdin: stdin, stdout: bufio.NewReader(stdout)}
	p.stop = sync.OnceFunc(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the %s: %v", name, err)
		}
	})
	t.Cleanup(p.stop)
	p.address = p.line()
	return p
}

func (p *process) line() string {
	p.t.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		p.t.Fatal("a process has ended: ", err)
	}
	return strings.TrimSpace(line)
}

func (p *process) sample() sample {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, "\n"); err != nil {
		p.t.Fatal(err)
	}
	var s sample
	if err := json.Unmarshal([]byte(p.line()), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}
