package torture

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/stand"
)

// flights is how many e-mails a sender has in hand at once: so many may be sent again by its successor.
const flights = 8

// share is a rack with several instances. The first holds the broker and has half of the clients.
type share struct {
	*rack
	brokers string // where the logs are, as --brokers takes it
	shelf   shelf
	session time.Duration // of the instances, the program's own if 0
	// patience is how long a row that has gone back may wait to be mended; stand.Generous if 0.
	patience time.Duration
	client   *kgo.Client
	admin    *kadm.Client
	first    *stand.Process
	other    *stand.Process // nil while there is none
	stops    int
}

func newShare(k *rack, logs shelf) *share {
	return &share{rack: k, shelf: logs}
}

// open starts the first instance, and lets the clients in.
func (s *share) open() {
	s.doors = append(s.doors, newDoor())
	s.first = s.join("first")
	s.must(s.first.Await(s.first.Ready, "ready"))
	client, err := connectionTo(s.first).Client()
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

// join starts an instance on a directory of its own, which it finds again when it has been there before. Without brokers
// of others, the first holds the broker.
func (s *share) join(name string) *stand.Process {
	data, brokers := s.dataOf(name), s.brokers
	if brokers == "" && s.first != nil {
		brokers = s.first.Kafka
	}
	args := append([]string{"--log-level", "warn", "serve", "--http", "127.0.0.1:0", "--data", data}, s.relay.Flags()...)
	if brokers != "" {
		args = append(args, "--brokers", brokers)
	}
	env := []string{s.flush.environment(), "TORTURE_FLAW=" + s.flaw}
	if s.session > 0 {
		env = append(env, "TORTURE_SESSION="+s.session.String())
	}
	return stand.Spawn(s.t, env, args...)
}

func (s *share) dataOf(name string) string {
	if name == "first" {
		return s.data
	}
	return filepath.Join(filepath.Dir(s.data), name)
}

// instances are those that run for as long as there is no kill.
func (s *share) instances() []*stand.Process {
	if s.other == nil {
		return []*stand.Process{s.first}
	}
	return []*stand.Process{s.first, s.other}
}

// connectionTo is how to reach the brokers of an instance.
func connectionTo(p *stand.Process) broker.Connection {
	return broker.Connection{Brokers: strings.Split(p.Kafka, ",")}
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
	a := newAudit(s.shelf)
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
// two seconds.
func (s *share) repaired() error {
	newest, last := map[string][]byte{}, map[string][]byte{}
	var tables []reader
	for table := range tableLogs {
		for p := range int32(partitions) {
			tables = append(tables, s.shelf(table, p))
		}
	}
	deadline := time.NewTimer(cmp.Or(s.patience, stand.Generous))
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
