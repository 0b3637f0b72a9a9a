package torture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/stockflowtest"
)

// flights is how many e-mails a sender has in hand at once: so many may be sent again by its successor.
const flights = 8

// share is a rack with several instances on the same brokers. The first has half of the clients.
type share struct {
	*rack
	brokers broker.Connection
	session time.Duration // of the instances, the program's own if 0
	// patience is how long a row that has gone back may wait to be mended; stockflowtest.Generous if 0.
	patience time.Duration
	client   *kgo.Client
	admin    *kadm.Client
	first    *stockflowtest.Process
	other    *stockflowtest.Process // nil while there is none
	stops    int
}

func newShare(k *rack, brokers broker.Connection) *share {
	return &share{rack: k, brokers: brokers}
}

// open starts the first instance, and lets the clients in.
func (s *share) open() {
	s.doors = append(s.doors, newDoor())
	s.first = s.join("first")
	s.must(s.first.Await(s.first.Ready, "ready"))
	client, err := s.brokers.Client()
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

// join starts an instance on a directory of its own, which it finds again when it has been there before.
func (s *share) join(name string) *stockflowtest.Process {
	args := append([]string{
		"--log-level", "warn", "serve", "--http", "127.0.0.1:0", "--data", s.dataOf(name), "--brokers", strings.Join(s.brokers.Brokers, ","),
	}, s.relay.Flags()...)
	env := []string{s.env, "TORTURE_FLAW=" + s.flaw, "STOCKFLOW_KAFKA="} // the port is for journals
	if s.session > 0 {
		env = append(env, "TORTURE_SESSION="+s.session.String())
	}
	return stockflowtest.Spawn(s.t, env, args...)
}

func (s *share) dataOf(name string) string {
	if name == "first" {
		return s.data
	}
	return filepath.Join(filepath.Dir(s.data), name)
}

// instances are those that run for as long as there is no kill.
func (s *share) instances() []*stockflowtest.Process {
	if s.other == nil {
		return []*stockflowtest.Process{s.first}
	}
	return []*stockflowtest.Process{s.first, s.other}
}

// connectionTo is how to reach the brokers of an instance, or the Kafka port in front of its journal.
func connectionTo(p *stockflowtest.Process) broker.Connection {
	return broker.Connection{Brokers: strings.Split(p.Kafka, ",")}
}

// members waits until every group has so many members, none of which is about to come or go.
func (s *share) members(want int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), stockflowtest.Generous)
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

// close is settle for those who want no complaint.
func (s *share) close(looks ...func()) *audit {
	s.t.Helper()
	a := s.settle(looks...)
	if a.n > 0 {
		s.t.Errorf("%d complaints, -seed %d\n%s\n%s", a.n, s.seed, strings.Join(a.texts, "\n"), s.lastWords())
	}
	return a
}

// settle lets everything come to rest, audits it while the instances run, lets others have a look at it, and stops them.
func (s *share) settle(looks ...func()) *audit {
	s.members(len(s.instances()))
	s.ends()
	s.working.Wait()
	s.must(rest(s.t.Context(), s.first))
	a := newAudit(s.t.Context(), atBrokers(s.brokers))
	if err := s.repaired(); err != nil {
		a.addf("%v", err)
	}
	a.run()
	s.books.compare(a.ledger, func(m move) bool { return m.sent > 1 })
	for _, p := range s.instances() {
		wrong, _ := s.agree(p, a.ledger)
		a.add(wrong)
	}
	again := s.checkMails(a.ledger, func(string) int { return s.stops + s.killed })
	if again > flights*(s.stops+s.killed) {
		a.addf("%d e-mails were sent again, with %d stops and kills", again, s.stops+s.killed)
	}
	s.t.Logf("%d orders; %d messages in the logs, %d of them repeats; %d rows written, %d of them older than the one before; %.0f records of others found; %d e-mails, %d of them again",
		len(a.ledger.orders), a.messages, a.repeats, a.records, a.stale, s.foreign(), len(s.relay.Counts()), again)
	s.t.Logf("what was answered: %s", s.books.summary())
	for _, look := range looks {
		look()
	}
	for _, p := range slices.Backward(s.instances()) {
		s.must(p.Stop())
		s.buried(p)
	}
	if s.cry != "" {
		a.addf("a process said: %s", s.cry)
	}
	return a
}

// repaired waits until every key's last record is its newest: an owner that is idle looks for records of others every
// five seconds.
func (s *share) repaired() error {
	newest, last := map[string][]byte{}, map[string][]byte{}
	tables := readers(slices.Collect(maps.Keys(tableLogs))...)
	deadline := time.NewTimer(cmp.Or(s.patience, stockflowtest.Generous))
	defer deadline.Stop()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		err := s.readOn(tables, func(r *kgo.Record) error {
			key := r.Topic + " " + string(r.Key)
			if last[key] = r.Value; !older(r.Value, newest[key]) {
				newest[key] = r.Value
			}
			return nil
		})
		if err != nil {
			return err
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

// readOn calls each with what has come since the last time.
func (s *share) readOn(all []*reader, each func(*kgo.Record) error) error {
	now, err := atBrokers(s.brokers)(s.t.Context())
	if err != nil {
		return err
	}
	for _, r := range all {
		err = errors.Join(err, r.read(s.t.Context(), now, each))
	}
	return errors.Join(err, now.close())
}

// crash kills the one instance so many times, in those ways or in all there are on brokers of others.
func (s *share) crash(times int, ways ...string) {
	if len(ways) == 0 {
		ways = []string{"at work", "at the start", "while stopping", "at a store flush", "at a mail"}
	}
	for n := range times {
		way := someKill(s.rnd, n, ways[n%len(ways)])
		if way.aim != inRecovery {
			s.awaitOrders(s.first, 20)
		}
		s.must(way.do(s.rnd, &victim{Process: s.first, relay: s.relay, page: s.page}))
		s.buried(s.first)
		s.page.Reset()
		s.killed++
		began := time.Now()
		s.first = s.join("first")
		s.follow(s.first)
		s.t.Logf("kill %3d %-18s orders %d", n+1, way.name, s.books.placed())
		if way.name != "at the start" || n == times-1 {
			s.must(s.first.Await(s.first.Ready, "ready"))
			s.t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))
		}
	}
}

// follow leads the clients to an instance as soon as it listens.
func (s *share) follow(p *stockflowtest.Process) {
	go func() {
		if p.Await(p.Listening, "listening") == nil {
			for _, d := range s.doors {
				d.open(p.HTTP, "first ")
			}
		}
	}()
}
