package kafkaport

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/journal"
)

// A foreign client is a program of testdata/clients, whose README says what it does, or one of the system.
type foreign struct {
	name    string
	fetched string // what must be there beside the program, in testdata/clients; "" for nothing
	program string
	produce func(address, topic, codec string) []string
	consume func(address, group, topic string) []string
	stop    func(*member) error // has a consumer leave
	codecs  []string
	atEnd   bool // it sends nothing before its input ends
}

const clients = "testdata/clients/"

// scripted is a client whose program takes the arguments that the README tells of.
func scripted(name, fetched, program string, codecs string, before ...string) foreign {
	return foreign{
		name: name, fetched: fetched, program: program, codecs: strings.Fields(codecs), stop: (*member).closeInput,
		produce: func(address, topic, codec string) []string { return append(before, "produce", address, topic, codec) },
		consume: func(address, group, topic string) []string { return append(before, "consume", address, group, topic) },
	}
}

var foreigners = []foreign{
	{
		name: "kcat", program: "kcat", atEnd: true, codecs: strings.Fields("none gzip snappy lz4 zstd"), stop: (*member).interrupt,
		produce: func(address, topic, codec string) []string {
			return []string{"-P", "-E", "-b", address, "-t", topic, "-z", codec, "-X", "enable.idempotence=true", "-X", "linger.ms=5", "-X", "retry.backoff.ms=50", "-X", "reconnect.backoff.ms=50"}
		},
		consume: func(address, group, topic string) []string {
			return []string{"-E", "-b", address, "-G", group, "-u", "-q", "-f", `%s\n`, "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=200", "-X", "reconnect.backoff.ms=50", topic}
		},
	},
	scripted("kafkajs", "kafkajs/node_modules/kafkajs", "node", "none gzip", clients+"kafkajs/client.js"),
	scripted("java", "java/target/dependency", "java", "none gzip snappy lz4 zstd", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", clients+"java/target/dependency/*", clients+"java/Client.java"),
	scripted("python", "python/target/confluent_kafka", "python3", "none gzip snappy lz4 zstd", clients+"python/client.py"),
}

// command returns what starts the client. It skips the test where it is missing, unless STOCKFLOW_REQUIRE names it.
func (f foreign) command(t *testing.T, arguments []string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(f.program)
	if err == nil && f.fetched != "" {
		_, err = os.Stat(filepath.Join(clients, f.fetched))
	}
	if err != nil && slices.Contains(strings.Split(os.Getenv("STOCKFLOW_REQUIRE"), ","), f.name) {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("there is no %s, see %sREADME.md: %v", f.name, clients, err)
	}
	cmd := exec.CommandContext(t.Context(), path, arguments...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+clients+"python/target")
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// TestClients: the clients of others produce idempotently, over lost answers and a restart, read, and share a group.
func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("programs of others, which make test-clients runs")
	}
	for _, f := range foreigners {
		t.Run(f.name, func(t *testing.T) {
			f.command(t, nil) // or it is skipped
			for _, codec := range f.codecs {
				t.Run("produces "+codec, func(t *testing.T) { f.produces(t, codec) })
			}
			t.Run("shares a group", f.sharesAGroup)
		})
	}
}

// produces has the client send lines through a network that loses answers, to a port that is restarted.
func (f foreign) produces(t *testing.T, codec string) {
	p, relay := openBehindARelay(t)
	cmd := f.command(t, f.produce(relay.Addr().String(), single, codec))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = testWriter{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	lines := numbered("line", 120)
	if f.atEnd {
		relay.lose.Store(2)
	}
	for i, line := range lines {
		switch {
		case f.atEnd: // it can't be waited for
		case i == 20 || i == 50:
			p.until(single, int64(i))
			relay.lose.Add(1)
		case i == 80:
			p.until(single, int64(i))
			p.close()
			p = openOn(t, p.journal, p.address, Limits{})
			p.server.mu.Lock()
			p.server.advertise = relay.Addr().String()
			p.server.mu.Unlock()
		}
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("it ends with %v", err)
	}
	if relay.lost.Load() != 2 {
		t.Errorf("%d answers were lost", relay.lost.Load())
	}
	var got []string
	if err := p.journal.Partition(single, 0).Read(t.Context(), 0, 1<<60, journal.Durable, func(r journal.Record) error {
		got = append(got, string(r.Value))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, lines) {
		t.Errorf("%d lines were sent, the log has %d: %v", len(lines), len(got), got)
	}
}

// until waits until a log with one partition has so many records.
func (p *port) until(topic string, n int64) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); p.ends(topic)[0] < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%s has %d of %d records after 20 s", topic, p.ends(topic)[0], n)
		}
	}
}

// A member is a consumer that runs.
type member struct {
	cmd   *exec.Cmd
	in    io.Closer
	ended chan error
}

func (m *member) closeInput() error { return m.in.Close() }
func (m *member) interrupt() error  { return m.cmd.Process.Signal(syscall.SIGTERM) }

// lines are what members have printed.
type lines struct {
	mu      sync.Mutex
	seen    map[string]int
	changed chan struct{}
}

// join starts a member, whose lines are added to those of the others.
func (f foreign) join(t *testing.T, all *lines, address, group string) *member {
	t.Helper()
	m := &member{cmd: f.command(t, f.consume(address, group, orders)), ended: make(chan error, 1)}
	in, err := m.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.in, m.cmd.Stderr = in, testWriter{t}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			all.mu.Lock()
			all.seen[s.Text()]++
			all.mu.Unlock()
			select {
			case all.changed <- struct{}{}:
			default:
			}
		}
		m.ended <- m.cmd.Wait()
	}()
	return m
}

// await waits until all values were printed by somebody.
func (l *lines) await(t *testing.T, values []string) {
	t.Helper()
	end := time.After(time.Minute)
	for {
		l.mu.Lock()
		i := slices.IndexFunc(values, func(v string) bool { return l.seen[v] == 0 })
		l.mu.Unlock()
		if i < 0 {
			return
		}
		select {
		case <-l.changed:
		case <-end:
			t.Fatalf("%s is read by nobody", values[i])
		}
	}
}

// leave has a member end, and waits for it.
func (f foreign) leave(t *testing.T, m *member) {
	t.Helper()
	if err := f.stop(m); err != nil && !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	if err := <-m.ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// sharesAGroup has two members of one group read all there is, while one comes, the port is restarted, and one goes.
func (f foreign) sharesAGroup(t *testing.T) {
	p := open(t, Limits{})
	all := &lines{seen: make(map[string]int), changed: make(chan struct{}, 1)}
	producer := p.client(kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	send := func(name string) []string {
		values := numbered(name, 60)
		produce(t, producer, orders, values...)
		return values
	}
	first := send("alone")
	one := f.join(t, all, p.address, "shop")
	all.await(t, first)
	two := f.join(t, all, p.address, "shop")
	p.awaitMembers("shop", 2)
	all.await(t, send("together"))
	p.close()
	p = openOn(t, p.journal, p.address, Limits{})
	all.await(t, send("restarted"))
	f.leave(t, two)
	all.await(t, send("left"))
	f.leave(t, one)
	if d, active := p.server.groups.Describe("shop"); active {
		t.Errorf("the group is %+v when all have left", d)
	}
	if !p.committed("shop")() {
		t.Errorf("the commits are %v, the logs end at %v", p.journal.Committed("shop", journal.Durable), p.ends(orders))
	}
}

// awaitMembers waits until a group is stable with so many members.
func (p *port) awaitMembers(group string, n int) {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		d, _ := p.server.groups.Describe(group)
		if d.State == "Stable" && len(d.Members) == n {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("the group is %+v after a minute", d)
		}
	}
}

// TestJavaAdmin: the admin client of Java sees what there is.
func TestJavaAdmin(t *testing.T) {
	i := slices.IndexFunc(foreigners, func(f foreign) bool { return f.name == "java" })
	p := open(t, Limits{})
	arguments := foreigners[i].produce("", "", "")
	arguments = append(arguments[:len(arguments)-4:len(arguments)-4], "admin", p.address)
	cmd := foreigners[i].command(t, arguments)
	cmd.Stderr = testWriter{t}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cluster " + p.server.clusterID(), "topic dead-letters 1", "topic order-events 3", "topic order-table 1", "group order Classic", "cleanup.policy compact"} {
		if !strings.Contains(string(out), want+"\n") {
			t.Errorf("it says %s, expected %q in it", out, want)
		}
	}
}

// TestKcatLists what there is.
func TestKcatLists(t *testing.T) {
	p := open(t, Limits{})
	p.append(table, 0, journal.Record{Key: []byte("a"), Value: []byte("1")}, journal.Record{Key: []byte("b"), Value: []byte("2")})
	out, err := foreigners[0].command(t, []string{"-b", p.address, "-L"}).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `topic "order-events" with 3 partitions`) {
		t.Errorf("%s, %v", out, err)
	}
	out, err = foreigners[0].command(t, []string{"-b", p.address, "-C", "-e", "-q", "-t", table, "-o", "beginning", "-f", `%k=%s `}).CombinedOutput()
	if err != nil || string(out) != "a=1 b=2 " {
		t.Errorf("%s, %v", out, err)
	}
}
