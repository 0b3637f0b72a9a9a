package torture

import (
	"flag"
	"syscall"
	"testing"
	"time"
)

var times = flag.Int("times", 0, "how often an instance is stopped for longer than its session, and goes on")

// sessionTime is short, as many of them are outsat.
const sessionTime = 2 * time.Second

// TestStaleOwners has two instances share the partitions of a Kafka, and stops one of them until the other has everything; then it goes on where it was, with rows and messages that are long another's. Before
// that there is one instance, then three, then one again, of which one leaves in good order and one is killed.
func TestStaleOwners(t *testing.T) {
	if !withFlaws || *times == 0 {
		t.Skip("it needs a program that is built with the tag torture, for its short sessions; make stale")
	}
	n := seedOf(t)
	t.Logf("%d times, -seed %d", *times, n)
	k := newRack(t, n, "", *hands)
	s := newShare(k, fakeKafka(t))
	s.session = sessionTime
	s.open()
	s.scale()
	for i := range *times {
		s.sleep(i)
	}
	if a := s.close(); a.stale == 0 && *times >= 20 {
		t.Error("the run is void: no stale owner has written an older row")
	}
}

// TestStaleOwnersAreFound does the same with programs that leave an older row where it is, until the audit finds one.
func TestStaleOwnersAreFound(t *testing.T) {
	if !withFlaws || *times == 0 {
		t.Skip("it needs a program that is built with the tag torture; make torture-flaws")
	}
	const each = 3
	for n := 0; n < *times; n += each {
		k := newRack(t, seedOf(t)+uint64(n), "noRepair", *hands)
		s := newShare(k, fakeKafka(t))
		s.session, s.patience = sessionTime, 10*time.Second // an idle owner looks every five
		s.open()
		s.pair()
		for i := range each {
			s.sleep(i)
		}
		if a := s.settle(); a.n > 0 {
			t.Logf("%d complaints after %d stops, such as: %s", a.n, n+each, a.texts[0])
			return
		}
	}
	t.Errorf("nothing was found in %d stops", *times)
}

// scale goes from one instance to three and back.
func (s *share) scale() {
	second, third := s.join("second"), s.join("third")
	s.must(second.Await(second.Ready, "ready"))
	s.must(third.Await(third.Ready, "ready"))
	s.members(3)
	s.doors[1].open(second.HTTP, "second ")
	s.work(2 * time.Second)
	s.doors[1].open(third.HTTP, "third ")
	second.Kill()
	s.killed++
	s.work(time.Second)
	s.doors[1].open(s.first.HTTP, "first ")
	s.must(third.Stop())
	s.members(1)
	s.work(time.Second)
	s.t.Logf("from one instance to three and back: %d orders", s.books.placed())

	s.pair()
}

// pair has another instance take half of the work.
func (s *share) pair() {
	s.other = s.join("other")
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

// foreign is how many records of others the instances have found in the changelogs of their partitions.
func (s *share) foreign() (n float64) {
	for _, p := range s.instances() {
		m, err := metrics(s.t.Context(), p.HTTP)
		s.must(err)
		n += m["stockflow_foreign_rows_total"]
	}
	return n
}
