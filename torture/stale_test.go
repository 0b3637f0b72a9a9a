package torture

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/stand"
)

var times = flag.Int("times", 0, "how often an instance is stopped for longer than its session, and goes on")

const (
	sessionTime = 2 * time.Second
	// flights is how many e-mails a sender has in hand at once: so many may be sent again by its successor.
	flights = 8
)

// TestStaleOwners has two instances share the partitions of one broker, and stops the one that doesn't hold the broker
// until the other has everything; then it goes on where it was, with rows and messages that are long another's. Before
// that there is one instance, then three, then one again, of which one leaves in good order and one is killed.
func TestStaleOwners(t *testing.T) {
	if !withFlaws || *times == 0 {
		t.Skip("it needs a program that is built with the tag torture, for its short sessions; make stale")
	}
	n := seedOf(t)
	t.Logf("%d times, -seed %d", *times, n)
	k := newRack(t, n, "", *hands)
	s := &share{rack: k, rnd: rand.New(rand.NewPCG(n, 1000))}
	s.open()
	s.scale()
	for i := range *times {
		s.sleep(i)
	}
	s.close()
}

// share is a rack with several instances. The first holds the broker and has half of the clients.
type share struct {
	*rack
	rnd    *rand.Rand
	client *kgo.Client
	admin  *kadm.Client
	first  *stand.Process
	other  *stand.Process
	kills  int
	stops  int
}

func (s *share) open() {
	s.doors = append(s.doors, newDoor())
	s.first = s.join("first", "")
	s.must(s.first.Await(s.first.Ready, "ready"))
	client, err := broker.Connection{Brokers: []string{s.first.Kafka}}.Client()
	s.must(err)
	s.client, s.admin = client, kadm.NewClient(client)
	s.t.Cleanup(client.Close)
	for _, d := range s.doors {
		d.open(s.first.HTTP, "first ")
	}
	s.begin()
}

func (s *share) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// join starts an instance on a directory of its own.
func (s *share) join(name, brokers string) *stand.Process {
	data := s.data
	if brokers != "" {
		data = filepath.Join(filepath.Dir(s.data), name)
	}
	args := append([]string{"--log-level", "warn", "serve", "--http", "127.0.0.1:0", "--data", data}, s.relay.Flags()...)
	if brokers != "" {
		args = append(args, "--brokers", brokers)
	}
	return stand.Spawn(s.t, []string{"TORTURE_SESSION=" + sessionTime.String()}, args...)
}

// scale goes from one instance to three and back.
func (s *share) scale() {
	second, third := s.join("second", s.first.Kafka), s.join("third", s.first.Kafka)
	s.must(second.Await(second.Ready, "ready"))
	s.must(third.Await(third.Ready, "ready"))
	s.members(3)
	s.doors[1].open(second.HTTP, "second ")
	s.work(2 * time.Second)
	s.doors[1].open(third.HTTP, "third ")
	second.Kill()
	s.kills++
	s.work(time.Second)
	s.doors[1].open(s.first.HTTP, "first ")
	s.must(third.Stop())
	s.members(1)
	s.work(time.Second)
	s.t.Logf("from one instance to three and back: %d orders", s.books.placed())

	s.other = s.join("other", s.first.Kafka)
	s.must(s.other.Await(s.other.Ready, "ready"))
	s.doors[1].open(s.other.HTTP, "other ")
}

// work lets the clients do what they do for a while.
func (s *share) work(least time.Duration) {
	time.Sleep(between(s.rnd, least/2, least))
}

// sleep stops an instance until it has lost everything, and for twice its session at least, and lets it go on.
func (s *share) sleep(n int) {
	s.members(2)
	s.work(2 * time.Second)
	s.stops++
	s.other.Signal(syscall.SIGSTOP)
	slept := time.NewTimer(2 * sessionTime)
	defer slept.Stop()
	s.members(1)
	<-slept.C
	s.other.Signal(syscall.SIGCONT)
	s.t.Logf("stop %3d: %d orders, records of others found %.0f", n+1, s.books.placed(), s.foreign())
}

// members waits until every group has so many members, none of which is about to come or go.
func (s *share) members(want int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), stand.Generous)
	defer cancel()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for have := -1; have != want; {
		select {
		case <-ctx.Done():
			s.t.Fatalf("the groups don't come to %d members", want)
		case <-tick.C:
		}
		described, err := s.admin.DescribeGroups(ctx, groups...)
		s.must(err)
		have = want
		for _, group := range described {
			if group.State != "Stable" || len(group.Members) != want {
				have = -1
			}
		}
	}
}

// foreign is how many records of others the instances have found in the changelogs of their partitions.
func (s *share) foreign() (n float64) {
	for _, p := range []*stand.Process{s.first, s.other} {
		m, err := metrics(s.t.Context(), p.HTTP)
		s.must(err)
		n += m["stockflow_foreign_rows_total"]
	}
	return n
}

// close lets everything come to rest with two instances, audits it while they run, and stops them.
func (s *share) close() {
	s.members(2)
	s.ends()
	s.working.Wait()
	s.must(rest(s.t.Context(), s.first))
	a := newAudit(s.data)
	if err := s.repaired(); err != nil {
		a.addf("%v", err)
	}
	a.run()
	s.books.compare(a.ledger, func(m move) bool { return m.sent > 1 })
	for _, p := range []*stand.Process{s.first, s.other} {
		a.add(s.agree(p, a.ledger))
	}
	again := s.checkMails(a.ledger, func(string) int { return s.stops + s.kills })
	if again > flights*(s.stops+s.kills) {
		a.addf("%d e-mails were sent again, with %d stops and kills", again, s.stops+s.kills)
	}
	s.t.Logf("%d orders; %d messages in the logs, %d of them repeats; %d rows written, %d of them older than the one before; %.0f records of others found; %d e-mails, %d of them again",
		len(a.ledger.orders), a.messages, a.repeats, a.records, a.stale, s.foreign(), len(s.relay.Counts()), again)
	s.t.Logf("what was answered: %s", s.books.summary())
	s.must(s.other.Stop())
	s.must(s.first.Stop())
	s.buried(s.other)
	s.buried(s.first)
	if s.cry != "" {
		a.addf("a process said: %s", s.cry)
	}
	if a.n > 0 {
		s.t.Errorf("%d complaints, -seed %d\n%s\n%s", a.n, s.seed, strings.Join(a.texts, "\n"), s.lastWords())
	}
	if a.stale == 0 && *times >= 20 {
		s.t.Error("the run is void: no stale owner has written an older row")
	}
}

// repaired waits until every key's last record is its newest: an owner that is idle looks for records of others every
// two seconds.
func (s *share) repaired() error {
	newest, last := map[string][]byte{}, map[string][]byte{}
	var tables []*tail
	for table := range tableLogs {
		for p := range int32(partitions) {
			tables = append(tables, newTail(s.data, table, p))
		}
	}
	deadline := time.NewTimer(stand.Generous)
	defer deadline.Stop()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		for _, table := range tables {
			err := table.read(func(r *kgo.Record) error {
				key := r.Topic + " " + string(r.Key)
				if last[key] = r.Value; !older(r.Value, newest[key]) {
					newest[key] = r.Value
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		stale := ""
		for key := range last {
			if older(last[key], newest[key]) {
				stale = key
			}
		}
		if stale == "" {
			return nil
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("the last record of %s isn't its newest, and nobody mends it", stale)
		case <-tick.C:
		}
	}
}

// agree waits until what an instance shows of every row is the fold: its view may be a moment behind.
func (s *share) agree(p *stand.Process, l *ledger) *complaints {
	const patience = 10 * time.Second
	for end := time.Now().Add(patience); ; {
		wrong := new(complaints)
		copied := *l
		copied.complaints = wrong
		listAll(s.t, p.HTTP).compare(&copied)
		if wrong.n == 0 || time.Now().After(end) {
			return wrong
		}
	}
}
