package kafka

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockflow/stockflowtest"
)

// Node is a broker, or ZooKeeper: a process of Java that can be killed and started again on the same files.
type Node struct {
	ID      int32
	Address string // host and port, the same after each start

	t     testing.TB
	jars  string
	dir   string
	main  []string // class and arguments
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// small machines: what starts quickly is worth more here than what runs fast after an hour.
var machine = []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"}

// classpath is where the jars of a module are. It skips the test where there are none, unless STOCKFLOW_REQUIRE wants
// "kafka".
func classpath(t testing.TB, module string) string {
	t.Helper()
	missing := t.Skipf
	if strings.Contains(os.Getenv("STOCKFLOW_REQUIRE"), "kafka") {
		missing = t.Fatalf
	}
	if _, err := exec.LookPath("java"); err != nil {
		missing("there is no java, which Kafka needs: %v", err)
	}
	dir := filepath.Join(root(t), "stockflowtest", "kafka", module, "target", "dependency")
	if jars, _ := filepath.Glob(filepath.Join(dir, "kafka_*.jar")); len(jars) == 0 {
		missing("there is no Kafka in stockflowtest/kafka/%s/target/dependency; make test-kafka fetches it", module)
	}
	return filepath.Join(dir, "*")
}

// root is the directory of go.mod, above the one that a test runs in.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatalf("there is no go.mod above: %v", err)
	return ""
}

func (n *Node) file(name string) string { return filepath.Join(n.dir, name) }

func (n *Node) configure(name, text string) {
	n.t.Helper()
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(n.file(name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// java is a process that is not started yet. It has a process group of its own, so that it doesn't get the signals of a
// terminal before the tests do, and ends with this process.
func (n *Node) java(main ...string) *exec.Cmd {
	cmd := exec.Command("java", append(append(append([]string{}, machine...), "-cp", n.jars), main...)...)
	cmd.Dir = n.dir
	cmd.SysProcAttr = stockflowtest.DieWithParent()
	cmd.SysProcAttr.Setpgid = true
	return cmd
}

// run runs a program to its end. It may be called from any goroutine.
func (n *Node) run(main ...string) {
	if out, err := n.java(main...).CombinedOutput(); err != nil {
		n.t.Errorf("%s: %v\n%s", strings.Join(main, " "), err, out)
	}
}

// Start starts the process, which must not run, and doesn't wait until it answers. It is killed with the test.
func (n *Node) Start() {
	n.t.Helper()
	said, err := os.OpenFile(n.file("said"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = said.Close() }() // the process has its own by then
	n.cmd = n.java(n.main...)
	n.cmd.Stdout, n.cmd.Stderr = said, said
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	cmd, ended := n.cmd, make(chan struct{})
	n.ended = ended
	go func() {
		_ = cmd.Wait() // how it ended is in its last words
		close(ended)
	}()
	n.t.Cleanup(func() { end(cmd, ended) })
}

// end is kill -9, of the whole process group. A process that has ended doesn't mind.
func end(cmd *exec.Cmd, ended <-chan struct{}) {
	if !stockflowtest.Was(ended) {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	<-ended
}

// Kill is kill -9. It returns when the process has ended.
func (n *Node) Kill() { end(n.cmd, n.ended) }

// Stop asks the process to stop, and waits until it has: a broker hands over what it leads before.
func (n *Node) Stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	select {
	case <-n.ended:
	case <-time.After(stockflowtest.Generous):
		n.t.Fatalf("broker %d does not stop\n%s", n.ID, n.LastWords())
	}
}

// Pause stops the process in the middle of what it does; Resume lets it go on.
func (n *Node) Pause() { n.signal(syscall.SIGSTOP) }

// Resume is for after Pause.
func (n *Node) Resume() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) { _ = n.cmd.Process.Signal(s) }

// Alive reports whether the process runs.
func (n *Node) Alive() bool { return !stockflowtest.Was(n.ended) }

// LastWords are the last lines that the process wrote, without what Java says of where it was.
func (n *Node) LastWords() string {
	text, err := os.ReadFile(n.file("said"))
	if err != nil {
		return err.Error()
	}
	const lines, width = 12, 300
	var words []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "\t") {
			words = append(words, strings.TrimSpace(line[:min(len(line), width)]))
		}
	}
	return strings.Join(words[max(0, len(words)-lines):], "\n")
}
