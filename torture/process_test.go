package torture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockflow/cli"
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
	cli.Main()
}

// generous is a bound on everything that is waited for, so that a run that hangs says where.
const generous = 2 * time.Minute

// process is a stockflow in a process of its own. What it says on its standard output moves it on: to where it can
// be asked, ready, stopping.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	said    *os.File // where its standard error goes
	spawned time.Time

	http, kafka string // where it listens; to be read when listening is closed
	listening   chan struct{}
	ready       chan struct{}
	stopping    chan struct{}
	ended       chan struct{}
	readyAfter  time.Duration // to be read when ready is closed
}

// spawn starts a process. Its standard error is added to the file said.
func spawn(t testing.TB, said string, env []string, args ...string) *process {
	t.Helper()
	p := &process{
		cmd: exec.Command(os.Args[0], args...), spawned: time.Now(), listening: make(chan struct{}), ready: make(chan struct{}),
		stopping: make(chan struct{}), ended: make(chan struct{}),
	}
	p.cmd.Env = append([]string{asProcess + "=1"}, env...)
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "STOCKFLOW_") {
			p.cmd.Env = append(p.cmd.Env, setting)
		}
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // one that is stopped doesn't see its input end
	var err1, err2, err3 error
	p.said, err1 = os.OpenFile(said, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	p.cmd.Stderr = p.said
	p.stdin, err2 = p.cmd.StdinPipe()
	stdout, err3 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, err3, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	go p.follow(stdout)
	t.Cleanup(p.kill)
	return p
}

// follow reads what the process prints, and buries it.
func (p *process) follow(stdout io.Reader) {
	for scan := bufio.NewScanner(stdout); scan.Scan(); {
		switch name, rest, _ := strings.Cut(scan.Text(), " "); name {
		case "kafka":
			p.kafka = strings.Fields(rest)[0]
		case "http":
			p.http = strings.TrimSpace(rest)
			close(p.listening)
		case "ready":
			p.readyAfter = time.Since(p.spawned)
			close(p.ready)
		case "stopping":
			close(p.stopping)
		}
	}
	_ = p.cmd.Wait() // how it ended is in ProcessState
	_ = p.said.Close()
	close(p.ended)
}

// kill is kill -9. It returns when the process has ended, as it may have done before.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.stdin.Close()
}

// was reports whether a channel of the process is closed.
func was(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// await waits until the process has come to something. Its error says that it has ended before.
func (p *process) await(c <-chan struct{}, what string) error {
	select {
	case <-c:
		return nil
	case <-p.ended:
		if was(c) {
			return nil
		}
		return fmt.Errorf("the process ended before it was %s: %v", what, p.cmd.ProcessState)
	case <-time.After(generous):
		return fmt.Errorf("after %s the process was not %s", generous, what)
	}
}

// signal sends a signal to the process. One that has ended doesn't mind.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// stop asks the process to stop, and expects that it does so in good order.
func (p *process) stop() error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(generous):
		return fmt.Errorf("after %s the process had not stopped", generous)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("a process that was asked to stop ended with %v", p.cmd.ProcessState)
	}
	return nil
}

// killed reports whether a signal ended the process; it must have ended.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
