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
	"runtime"
	"strings"
	"testing"
	"time"

	"stockflow/broker"
	"stockflow/cli"

	processes "stockflow/stand"
)

// part makes this test binary a part of Stockflow in a process of its own, so that its memory is seen alone: a broker
// in a directory, or a server on the broker at an address.
const part = "STOCKFLOW_BENCHMARK_PART"

func TestMain(m *testing.M) {
	switch os.Getenv(part) {
	case "":
		os.Exit(m.Run())
	case "command":
		cli.Main()
	case "broker":
		b, err := broker.OpenEmbedded(os.Args[1])
		attend(err, func() string { return b.Addr() }, func() error { return b.Close() })
	case "reader":
		s, err := cli.Serve{
			HTTP: "127.0.0.1:0", Data: os.Args[1], Brokers: os.Args[2:3], Partitions: shopPartitions, Roles: []string{"api"}, NoHistory: len(os.Args) > 3,
		}.Start(context.Background(), slog.New(slog.DiscardHandler))
		attend(err, func() string { return s.HTTPAddr() }, func() error { return s.Stop() })
	case "server":
		s, err := cli.Serve{
			HTTP: "127.0.0.1:0", Data: os.Args[1], Brokers: os.Args[2:], Partitions: shopPartitions,
		}.Start(context.Background(), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
		attend(err, func() string { return s.HTTPAddr() }, func() error { return s.Stop() })
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
	stdin   io.Writer
	stdout  *bufio.Reader
	address string
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
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the %s: %v", name, err)
		}
	})
	p := &process{t: t, stdin: stdin, stdout: bufio.NewReader(stdout)}
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
