package torture

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockflow/broker"
	"stockflow/stockflowtest"
)

var (
	kills_ = flag.Int("kills", 3, "how often the process is killed")
	seed   = flag.Uint64("seed", 0, "of a run; 0 draws one")
	hands  = flag.Int("clients", 8, "how many there are")
	how    = flag.String("how", "", "the one way to kill, such as \"at work\"; all of them if left out")
	round  = flag.Int("round", 100, "kills on one directory; the next ones get a fresh one")
)

// enoughKills is from how many kills on a run is void that has missed a moment. moreKills is how many may be added,
// aimed at what chance has left out.
const (
	enoughKills = 30
	moreKills   = 30
)

// TestTorture kills a Stockflow under load, again and again, and audits what is left.
func TestTorture(t *testing.T) {
	n := seedOf(t)
	t.Logf("%d kills, -seed %d", *kills_, n)
	total := newTally()
	whole := *kills_ >= enoughKills && *how == ""
	for done := 0; done < *kills_ && !t.Failed(); done += *round {
		k := newRack(t, n+uint64(done), "", *hands)
		k.tail = smallTail
		k.torture(min(*round, *kills_-done), *how, total)
		for more := 0; whole && done+*round >= *kills_ && more < moreKills && len(total.missing()) > 0; more++ {
			if err := k.kill(killAt(total.missing()[0]), total); err != nil {
				t.Fatal(err)
			}
		}
		k.wantFine(k.audit(total))
	}
	t.Logf("\n%s", total)
	if missing := total.missing(); whole && len(missing) > 0 {
		t.Errorf("the run is void: no kill fell into %s", missing)
	}
	if whole && withFlaws && total.sealed == 0 {
		t.Error("the run is void: no file of the journal was sealed")
	}
}

// smallTail is the size of the files of a journal that seals one after the other.
const smallTail = 256 << 10

// wantFine wants there to be no complaints.
func (k *rack) wantFine(wrong *complaints) {
	k.t.Helper()
	if wrong.n > 0 {
		k.t.Errorf("%d complaints, -seed %d\n%s\n%s", wrong.n, k.seed, strings.Join(wrong.texts, "\n"), k.lastWords())
	}
}

func seedOf(testing.TB) uint64 {
	if *seed != 0 {
		return *seed
	}
	return rand.Uint64()
}

// tally is what became of a run.
type tally struct {
	kills                                                       map[string]int
	found                                                       map[moment]int
	ready                                                       []time.Duration // from the start of a process until it was ready
	orders, messages, repeats, records, mails, mailsAgain, http int64
	sealed                                                      int // files that the journals have in the end
}

func newTally() *tally { return &tally{kills: map[string]int{}, found: map[moment]int{}} }

func (y *tally) missing() (missing []moment) {
	for _, m := range moments {
		if y.found[m] == 0 {
			missing = append(missing, m)
		}
	}
	return missing
}

func (y *tally) String() string {
	text := "killed                            kills\n"
	for _, k := range kills {
		aim := ""
		if k.aim != "" {
			aim = " (aimed)"
		}
		text += fmt.Sprintf("  %-30s %6d\n", k.name+aim, y.kills[k.name])
	}
	text += "kills that fell into\n"
	for _, m := range moments {
		text += fmt.Sprintf("  %-30s %6d\n", m, y.found[m])
	}
	slices.Sort(y.ready)
	if last := len(y.ready) - 1; last >= 0 {
		text += fmt.Sprintf("ready after %s in the median, %s at most, of %d starts\n",
			y.ready[last/2].Round(time.Millisecond), y.ready[last].Round(time.Millisecond), len(y.ready))
	}
	return text + fmt.Sprintf("%d orders; %d messages in the logs, %d of them repeats; %d rows written; %d e-mails, %d of them again; %d rows compared with HTTP; %d sealed files\n",
		y.orders, y.messages, y.repeats, y.records, y.mails, y.mailsAgain, y.http, y.sealed)
}

// rack is a directory on which a Stockflow is killed, and those who use it meanwhile.
type rack struct {
	t      *testing.T
	seed   uint64
	rnd    *rand.Rand // draws how and when to kill
	killed int
	data   string
	last   *stockflowtest.Process // that was killed or stopped
	cry    string                 // what no process should ever write to its standard error
	full   bool                   // the disk is at times, which tears stores; else none is ever set aside
	relay  *stockflowtest.Relay
	books  *books
	doors  []*door // which the clients are shared out to
	flaw   string
	hands  int
	tail   int // the bytes of a file of the journal, the program's own if 0
	assortment
	*evidence

	act     func(*client) // what a client does next
	ends    context.CancelFunc
	working sync.WaitGroup
}

func newRack(t *testing.T, seed uint64, flaw string, hands int) *rack {
	k := &rack{
		t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1000)), data: filepath.Join(t.TempDir(), "data"),
		relay: stockflowtest.NewRelay(t, nil), books: newBooks(), doors: []*door{newDoor()}, flaw: flaw, hands: hands, act: (*client).act, assortment: small,
	}
	k.evidence = newEvidence(t, k.data, k.relay)
	return k
}

// begin lets the clients in.
func (k *rack) begin() {
	ctx, cancel := context.WithCancel(k.t.Context())
	k.ends = cancel
	for i := range k.hands {
		c := newClient(k.t.Context(), k.books, k.doors[i%len(k.doors)], fmt.Sprintf("%d-%d", k.seed%1000, i), k.seed, uint64(i))
		c.assortment = k.assortment
		k.working.Go(func() { c.work(ctx, k.act) })
	}
}

// leave has the clients leave, each when what it has begun is done.
func (k *rack) leave() {
	k.ends()
	k.working.Wait()
}

// spawn starts a process on the directory, and leads the clients to it.
func (k *rack) spawn() *stockflowtest.Process {
	args := append([]string{"--log-level", "warn", "serve", "--http", "127.0.0.1:0", "--data", k.data}, k.relay.Flags()...)
	env := []string{k.env, "TORTURE_FLAW=" + k.flaw}
	if k.tail > 0 {
		env = append(env, fmt.Sprint("TORTURE_TAIL_BYTES=", k.tail))
	}
	p := stockflowtest.Spawn(k.t, env, args...)
	go func() {
		select {
		case <-p.Listening:
			k.doors[0].open(p.HTTP, "")
		case <-p.Ended:
		}
	}()
	return p
}

// torture kills so many processes.
func (k *rack) torture(times int, how string, y *tally) {
	k.begin()
	for n := range times {
		if err := k.kill(someKill(k.rnd, n, how), y); err != nil {
			k.t.Fatal(err)
		}
	}
}

// kill kills a process in that way, and looks at what it fell into. The error says that it can't be killed, because it has ended, or
// that what it has left can't be read.
func (k *rack) kill(way kill, y *tally) error {
	p := k.spawn()
	if err := way.do(k.rnd, &victim{Process: p, relay: k.relay, page: k.page}); err != nil {
		return fmt.Errorf("%s: %w", way.name, err)
	}
	k.buried(p)
	met, err := k.look(k.t.Context(), p)
	if err != nil {
		return fmt.Errorf("%s: %w", way.name, err)
	}
	k.killed++
	y.kills[way.name]++
	for _, m := range met {
		y.found[m]++
	}
	ready := "never"
	if stockflowtest.Was(p.Ready) {
		y.ready = append(y.ready, p.ReadyAfter)
		ready = p.ReadyAfter.Round(time.Millisecond).String()
	}
	k.t.Logf("kill %3d %-18s ready after %-8s orders %-7d fell into %v", k.killed, way.name, ready, k.books.placed(), met)
	return nil
}

// audit starts a last process, lets the clients finish and everything come to rest, and looks at what there is.
func (k *rack) audit(y *tally) *complaints {
	p := k.spawn()
	if err := p.Await(p.Ready, "ready"); err != nil {
		k.t.Fatal(err)
	}
	a := newAudit(k.t.Context(), durable(k.data, p.HTTP))
	y.ready = append(y.ready, p.ReadyAfter)
	k.leave()
	if err := rest(k.t.Context(), p); err != nil {
		a.addf("%v", err)
	}
	a.run()
	k.books.compare(a.ledger, func(move) bool { return false })
	wrong, rows := k.agree(p, a.ledger)
	a.add(wrong)
	y.http += rows
	a.add(verified(k.t, "--data", k.data))
	if err := p.Stop(); err != nil {
		a.addf("%v", err)
	}
	k.buried(p)
	y.mailsAgain += int64(k.checkMails(a.ledger, func(id string) int { return k.allowed[id] }))
	y.mails += int64(len(k.relay.Counts()))
	y.orders += int64(len(a.ledger.orders))
	a.add(k.evidence.complaints)
	a.add(k.stopped(a.from, y))
	y.messages, y.repeats, y.records = y.messages+a.messages, y.repeats+a.repeats, y.records+a.records
	if a.stale > 0 {
		a.addf("%d rows were written that were older than the one before them, and there was one owner at a time", a.stale)
	}
	if k.cry != "" {
		a.addf("a process said: %s", k.cry)
	}
	k.t.Logf("what was answered: %s", k.books.summary())
	return a.complaints
}

// verified wants the program's own verification to find nothing.
func verified(t *testing.T, args ...string) *complaints {
	wrong := new(complaints)
	p := stockflowtest.Spawn(t, nil, append([]string{"verify"}, args...)...)
	if code := p.Exit(); code != 0 {
		wrong.addf("verify ends with %d: %s", code, p.LastWords())
	}
	return wrong
}

// stopped wants the journal of a process that has stopped to have what it had when the process was at rest.
func (k *rack) stopped(before *reading, y *tally) *complaints {
	wrong := new(complaints)
	now, err := left(k.data)(k.t.Context())
	if err != nil {
		wrong.addf("the journal that was closed can't be read: %v", err)
		return wrong
	}
	if local, ok := now.Broker.(broker.Local); ok {
		y.sealed += local.Journal().Stats().SealedFiles
	}
	if !maps.Equal(now.ends, before.ends) {
		wrong.addf("topics end at %v, and at rest they ended at %v", now.ends, before.ends)
	}
	if err := now.close(); err != nil {
		wrong.addf("%v", err)
	}
	return wrong
}

// agree waits until what a process shows of every row is the fold, and returns how many rows there are: its view may be a moment behind.
func (k *rack) agree(p *stockflowtest.Process, l *ledger) (wrong *complaints, rows int64) {
	k.t.Helper()
	const patience = 30 * time.Second
	for end := time.Now().Add(patience); ; {
		wrong = new(complaints)
		copied := *l
		copied.complaints = wrong
		rows = listAll(k.t, p.HTTP).compare(&copied)
		if wrong.n == 0 || time.Now().After(end) {
			return wrong, rows
		}
	}
}

// buried takes a last look at a process that has ended: what it wrote to its standard error.
func (k *rack) buried(p *stockflowtest.Process) {
	k.last = p
	for line := range strings.Lines(p.Stderr.String()) {
		aside := !k.full && strings.Contains(line, "set aside")
		if aside || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.Contains(line, "DATA RACE") {
			k.cry = line
		}
	}
}

func (k *rack) lastWords() string {
	if k.last == nil {
		return ""
	}
	return k.last.LastWords()
}
