package cli

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProcess makes this test binary a stockflow: its arguments are then the command line.
const asProcess = "THIS_IS_STOCKFLOW"

// TestMain is where a process of the tests begins. It ends when its standard input does, so that none outlives the
// tests, however those end.
func TestMain(m *testing.M) {
	if os.Getenv(asProcess) == "" {
		os.Exit(m.Run())
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	Main()
}

// process is a stockflow in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	lines  chan string   // what it prints, closed at its end
	ended  chan struct{} // closed when it has ended
	stderr bytes.Buffer  // to be read when it has ended
}

// spawn starts a process with a command line. It inherits none of Stockflow's settings.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), lines: make(chan string, 16), ended: make(chan struct{})}
	p.cmd.Env = []string{asProcess + "=1"}
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "STOCKFLOW_") {
			p.cmd.Env = append(p.cmd.Env, setting)
		}
	}
	p.cmd.Stderr = &p.stderr
	stdin, err1 := p.cmd.StdinPipe()
	stdout, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	go p.follow(stdout)
	t.Cleanup(p.kill)
	return p
}

// follow reads what the process prints, and buries it. What nobody reads is dropped.
func (p *process) follow(stdout io.Reader) {
	for scan := bufio.NewScanner(stdout); scan.Scan(); {
		select {
		case p.lines <- scan.Text():
		default:
		}
	}
	close(p.lines)
	_ = p.cmd.Wait() // how it ended is in ProcessState
	close(p.ended)
}

// kill is kill -9. It returns when the process has ended, as it may have done before.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.stdin.Close()
}

// exit waits for the end of the process and returns its exit code, -1 if it was killed.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(generous):
		p.kill()
		p.t.Errorf("the process did not end: %s", p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// terminate asks the process to stop.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
}

// ready waits until a server is ready, and returns a client of it.
func (p *process) ready() *shop {
	p.t.Helper()
	address := ""
	for line := range p.lines {
		if _, a, found := strings.Cut(line, "http://"); found {
			address = a
		}
		if line == "ready" {
			return newShop(p.t, address)
		}
	}
	<-p.ended
	p.t.Fatalf("the process ended before it was ready: %s", p.stderr.String())
	return nil
}

// spawnServer starts a server on a directory, on a port of the system's choice, and waits until it is ready.
func spawnServer(t *testing.T, dir string) (*process, *shop) {
	t.Helper()
	p := spawn(t, "serve", "--http", "127.0.0.1:0", "--data", dir)
	return p, p.ready()
}
