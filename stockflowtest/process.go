package stockflowtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProcess makes a test binary a stockflow: its arguments are then the command line.
const asProcess = "THIS_IS_STOCKFLOW"

// Main is the TestMain of a package that spawns processes: it is where they begin, with program. One ends when its
// standard input does, so that none outlives the tests, however those end. after is called when all tests are over.
func Main(m *testing.M, program func(), after ...func()) {
	if os.Getenv(asProcess) == "" {
		code := m.Run()
		for _, f := range after {
			f()
		}
		os.Exit(code)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	program()
}

// Generous is a bound on everything that is waited for, so that a test that hangs says where.
const Generous = 2 * time.Minute

// Process is a stockflow in a process of its own. What a server prints moves it on: to where it can be asked, ready,
// stopping. Its methods may be called at once.
type Process struct {
	Cmd       *exec.Cmd
	Spawned   time.Time
	Listening chan struct{} // closed when it has said where it listens; then HTTP, a URL, and Kafka, an address, can be read
	Ready     chan struct{} // closed when it is ready; then ReadyAfter can be read
	Stopping  chan struct{} // closed when it has begun to stop
	Printing  chan struct{} // closed when a process whose output nobody reads has begun to print
	Ended     chan struct{} // closed when it has ended; then Stderr can be read

	HTTP, Kafka string
	ReadyAfter  time.Duration
	Stderr      bytes.Buffer

	t     testing.TB
	stdin io.Closer
}

// Spawn starts a process with a command line, which is killed with the test. Of the environment it inherits all but
// Stockflow's settings; env, such as "NAME=value", comes on top.
func Spawn(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	return begin(t, env, args, (*Process).follow)
}

// SpawnUnread starts a process whose output nobody reads but for where it begins. So it is held up in the midst of what it
// prints, as soon as there is more of that than a pipe takes, which is 64 KiB as a rule.
func SpawnUnread(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	return begin(t, env, args, (*Process).glance)
}

func begin(t testing.TB, env, args []string, listen func(*Process, io.Reader)) *Process {
	t.Helper()
	p := &Process{
		Cmd: exec.Command(os.Args[0], args...), Spawned: time.Now(), t: t,
		Listening: make(chan struct{}), Ready: make(chan struct{}), Stopping: make(chan struct{}), Printing: make(chan struct{}), Ended: make(chan struct{}),
	}
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "STOCKFLOW_") {
			p.Cmd.Env = append(p.Cmd.Env, setting)
		}
	}
	p.Cmd.Env = append(p.Cmd.Env, "STOCKFLOW_KAFKA=127.0.0.1:0")  // a test has no port of its own
	p.Cmd.Env = append(append(p.Cmd.Env, env...), asProcess+"=1") // of two settings the last one counts
	p.Cmd.Stderr = &p.Stderr
	p.Cmd.SysProcAttr = DieWithParent() // one that is stopped doesn't see its input end
	stdin, err1 := p.Cmd.StdinPipe()
	stdout, err2 := p.Cmd.StdoutPipe()
	if err := errors.Join(err1, err2, p.Cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	go func() {
		listen(p, stdout)
		_ = p.Cmd.Wait() // how it ended is in ProcessState
		close(p.Ended)
	}()
	t.Cleanup(p.Kill)
	return p
}

// glance reads the first byte of what the process prints.
func (p *Process) glance(stdout io.Reader) {
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err == nil {
		close(p.Printing)
	}
}

// follow reads what the process prints.
func (p *Process) follow(stdout io.Reader) {
	for scan := bufio.NewScanner(stdout); scan.Scan(); {
		switch name, rest, _ := strings.Cut(scan.Text(), " "); name {
		case "kafka":
			p.Kafka, _, _ = strings.Cut(strings.TrimSpace(rest), " ")
		case "http":
			p.HTTP = strings.TrimSpace(rest)
			close(p.Listening)
		case "ready":
			p.ReadyAfter = time.Since(p.Spawned)
			close(p.Ready)
		case "stopping":
			close(p.Stopping)
		}
	}
}

// Kill is kill -9. It returns when the process has ended, as it may have done before.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill()
	<-p.Ended
	_ = p.stdin.Close()
}

// Was reports whether a channel of a process is closed.
func Was(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Await waits until the process has come to something; what names it. The error says that it has ended before.
func (p *Process) Await(c <-chan struct{}, what string) error {
	select {
	case <-c:
		return nil
	case <-p.Ended:
		if Was(c) {
			return nil
		}
		return fmt.Errorf("the process ended before it was %s: %v\n%s", what, p.Cmd.ProcessState, p.LastWords())
	case <-time.After(Generous):
		return fmt.Errorf("after %s the process was not %s", Generous, what)
	}
}

// Signal sends a signal. A process that has ended doesn't mind.
func (p *Process) Signal(s syscall.Signal) { _ = p.Cmd.Process.Signal(s) }

// Exit waits for the end of the process and returns its exit code, -1 if it was killed.
func (p *Process) Exit() int {
	p.t.Helper()
	select {
	case <-p.Ended:
	case <-time.After(Generous):
		p.Kill()
		p.t.Errorf("the process did not end: %s", p.LastWords())
	}
	return p.Cmd.ProcessState.ExitCode()
}

// Stop asks the process to stop, and returns an error if it doesn't do so in good order.
func (p *Process) Stop() error {
	p.Signal(syscall.SIGTERM)
	if p.Exit() != 0 {
		return fmt.Errorf("a process that was asked to stop ended with %v\n%s", p.Cmd.ProcessState, p.LastWords())
	}
	return nil
}

// Killed reports whether SIGKILL has ended the process, which must have ended.
func (p *Process) Killed() bool {
	status, ok := p.Cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// LastWords are the last lines that a process which has ended wrote to its standard error.
func (p *Process) LastWords() string {
	if !Was(p.Ended) {
		return ""
	}
	const lines = 30
	all := strings.Split(strings.TrimSpace(p.Stderr.String()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
