package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// childDir names the variable that makes the test binary a process that opens a log and waits to be killed.
const childDir = "STOCKFLOW_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child opens the log, produces one record, says so and waits.
func child(dir string) {
	e, err := OpenEmbedded(dir, quiet())
	if err == nil {
		_, _, err = Ensure(context.Background(), e.Connection(), []Topic{{"orders", Log}}, 1)
	}
	if err == nil {
		err = produceOne(e.Connection(), "orders", "from the child")
	}
	runtime.GC() // which must not take the lock away
	fmt.Println("ready", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

func quiet() Option { return Logger(slog.New(slog.DiscardHandler)) }

// open opens a broker of the test's own, closed at its end.
func open(t testing.TB, dir string, opts ...Option) *Embedded {
	t.Helper()
	e, err := OpenEmbedded(dir, append([]Option{quiet(), Unsynced()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBroker(t, e) })
	return e
}

func closeBroker(t testing.TB, e *Embedded) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func client(t testing.TB, c Connection, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := c.Client(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func ensure(t testing.TB, c Connection, partitions int32, topics ...Topic) {
	t.Helper()
	if _, _, err := Ensure(t.Context(), c, topics, partitions); err != nil {
		t.Fatal(err)
	}
}

func produceOne(c Connection, topic, value string) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	r := &kgo.Record{Topic: topic, Key: []byte("key"), Value: []byte(value)}
	return cl.ProduceSync(context.Background(), r).FirstErr()
}

func produce(t testing.TB, c Connection, topic string, values ...string) {
	t.Helper()
	cl := client(t, c)
	defer cl.Close()
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Key: []byte("key"), Value: []byte(v)}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// consume returns the next n records of a topic, from its start.
func consume(t testing.TB, c Connection, topic string, n int) (records []*kgo.Record) {
	t.Helper()
	cl := client(t, c, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for len(records) < n {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%v after %d of %d records", err, len(records), n)
		}
		records = append(records, f.Records()...)
	}
	return records
}

func wantValues(t *testing.T, c Connection, topic string, want ...string) {
	t.Helper()
	var got []string
	for _, r := range consume(t, c, topic, len(want)) {
		got = append(got, string(r.Value))
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("topic %s has %q, want %q", topic, got, want)
	}
}

func TestReopenKeepsTheLog(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	ensure(t, first.Connection(), 1, Topic{"orders", Log})
	produce(t, first.Connection(), "orders", "a", "b")
	closeBroker(t, first)

	second := open(t, dir)
	produce(t, second.Connection(), "orders", "c")
	wantValues(t, second.Connection(), "orders", "a", "b", "c")
}

func TestSecondOpenerIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := OpenEmbedded(dir, quiet())
	if err == nil {
		t.Fatal("opened twice")
	}
	for _, want := range []string{dir, fmt.Sprint(os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q doesn't name %q", err, want)
		}
	}
}

func TestCloseFreesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	closeBroker(t, e)
	closeBroker(t, e) // again is allowed
	if _, running, err := Find(dir); running || err != nil {
		t.Errorf("after Close: running %v, %v", running, err)
	}
	open(t, dir)
}

func TestKillFreesTheDirectoryAndKeepsTheLog(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready <nil>\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	if _, err := OpenEmbedded(dir, quiet()); err == nil || !strings.Contains(err.Error(), fmt.Sprint(cmd.Process.Pid)) {
		t.Errorf("with the child alive: %v, want an error that names process %d", err, cmd.Process.Pid)
	}
	found, running, err := Find(dir)
	if !running || err != nil {
		t.Fatalf("with the child alive: running %v, %v", running, err)
	}
	wantValues(t, found, "orders", "from the child")

	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, running, err := Find(dir); running || err != nil {
		t.Errorf("after kill -9: running %v, %v", running, err)
	}
	e := open(t, dir)
	produce(t, e.Connection(), "orders", "after it")
	wantValues(t, e.Connection(), "orders", "from the child", "after it")
}

func TestFindInAnEmptyDirectory(t *testing.T) {
	if _, running, err := Find(filepath.Join(t.TempDir(), "none")); running || err != nil {
		t.Errorf("running %v, %v", running, err)
	}
}

func TestFindWhileItStarts(t *testing.T) {
	dir := t.TempDir()
	l, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release() //nolint:errcheck // only the lock counts here
	if _, running, err := Find(dir); !running || err == nil {
		t.Errorf("running %v, %v; want an error that says to try again", running, err)
	}
}

// A directory that can't be written to is said when it is opened, not when the first order comes.
func TestUnwritableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenEmbedded(filepath.Join(file, "data"), quiet()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v, want an error that names %s", err, file)
	}
}

func TestBytesThatAreNotKafka(t *testing.T) {
	e := open(t, t.TempDir())
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	for name, bytes := range map[string]string{
		"a browser":       "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"an unknown kind": "\x00\x00\x00\x08\x7f\xff\x00\x00\x00\x00\x00\x00",
		"a giant":         "\x7f\xff\xff\xff\x00\x00\x00\x03\x00\x00\x00\x00",
		"nearly nothing":  "\x00\x00\x00\x01\x00\x00\x00\x03",
	} {
		t.Run(name, func(t *testing.T) { wantHangUp(t, e.Addr(), bytes) })
	}
	produce(t, e.Connection(), "orders", "still there")
}

// wantHangUp sends bytes and wants the broker to close the connection without an answer, though more might come.
func wantHangUp(t *testing.T, addr, bytes string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, bytes); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c) // a reset is as good as an end
	if len(answer) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("answered %q, %v", answer, err)
	}
}

// Offsets that were committed, and members that were there when the broker stopped: the first are kept, the others
// are forgotten, so that the next ones needn't wait for them.
func TestGroupsOverARestart(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	ensure(t, first.Connection(), 1, Topic{"orders", Log})
	produce(t, first.Connection(), "orders", "a", "b")
	member := client(t, first.Connection(), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit())
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	fetches := member.PollFetches(ctx)
	if fetches.Err() != nil || fetches.Empty() {
		t.Fatalf("the member has read %d records: %v", fetches.NumRecords(), fetches.Err())
	}
	if err := member.CommitRecords(t.Context(), fetches.Records()[0]); err != nil {
		t.Fatal(err)
	}
	closeBroker(t, first)
	member.CloseAllowingRebalance()

	admin := kadm.NewClient(client(t, open(t, dir).Connection()))
	described, err := admin.DescribeGroups(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	if g := described["g"]; g.State != "Empty" || len(g.Members) > 0 {
		t.Errorf("group is %s with %d members, want it empty", g.State, len(g.Members))
	}
	committed, err := admin.FetchOffsets(t.Context(), "g")
	if o, ok := committed.Lookup("orders", 0); err != nil || !ok || o.At != 1 {
		t.Errorf("committed %v, %v; want 1", o.At, err)
	}
}
