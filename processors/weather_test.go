package processors_test

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/processors"
)

// weather is what a broker and the network to it do to those who need them: one request in ten is answered with an
// error, whether it was carried out or not; connections break before a request is read and after it was
// carried out; answers are late; leaders and coordinators move; and now and then nothing goes through at all.
type weather struct {
	cluster *kfake.Cluster
	faults  []*kfake.FaultHandle
	calm    atomic.Bool

	mu     sync.Mutex // guards what follows
	rnd    *rand.Rand
	counts map[string]int
	hole   chan struct{} // closed when what it swallows goes on; nil when nothing is swallowed
}

// fault is an error that a broker answers, to a share of the requests of a kind.
type fault struct {
	name string
	keys []kmsg.Key
	err  *kerr.Error
	per  int // of a thousand
	top  bool
}

// faults add up to one in ten, or somewhat more, of produce, fetch, commit and group calls each, and of each partition in them. Those to
// produce that are called "after" are answered by a broker that has appended the records, and the commit that timed out is stored.
var faults = []fault{
	{"produce: not leader", []kmsg.Key{kmsg.Produce}, kerr.NotLeaderForPartition, 25, false},
	{"produce: not enough replicas", []kmsg.Key{kmsg.Produce}, kerr.NotEnoughReplicas, 25, false},
	{"produce: not enough replicas after append", []kmsg.Key{kmsg.Produce}, kerr.NotEnoughReplicasAfterAppend, 25, false},
	{"produce: timed out after append", []kmsg.Key{kmsg.Produce}, kerr.RequestTimedOut, 25, false},
	{"produce: refused for good", []kmsg.Key{kmsg.Produce}, kerr.TopicAuthorizationFailed, 10, false},
	{"producer id: coordinator loading", []kmsg.Key{kmsg.InitProducerID}, kerr.CoordinatorLoadInProgress, 100, true},
	{"fetch: not leader", []kmsg.Key{kmsg.Fetch}, kerr.NotLeaderForPartition, 50, false},
	{"fetch: disk error", []kmsg.Key{kmsg.Fetch}, kerr.KafkaStorageError, 50, false},
	{"offsets: not leader", []kmsg.Key{kmsg.ListOffsets}, kerr.NotLeaderForPartition, 50, false},
	{"commit: coordinator not available", []kmsg.Key{kmsg.OffsetCommit}, kerr.CoordinatorNotAvailable, 40, false},
	{"commit: timed out", []kmsg.Key{kmsg.OffsetCommit}, kerr.RequestTimedOut, 30, false},
	{"commit: rebalance in progress", []kmsg.Key{kmsg.OffsetCommit}, kerr.RebalanceInProgress, 30, false},
	{"group: coordinator not available", []kmsg.Key{kmsg.FindCoordinator}, kerr.CoordinatorNotAvailable, 100, false},
	{"group: not coordinator", []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat}, kerr.NotCoordinator, 50, true},
	{"group: rebalance in progress", []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat}, kerr.RebalanceInProgress, 50, true},
	{"group: unknown member", []kmsg.Key{kmsg.Heartbeat}, kerr.UnknownMemberID, 40, true},
	{"group: offsets not loaded", []kmsg.Key{kmsg.OffsetFetch}, kerr.CoordinatorLoadInProgress, 100, true},
}

// What connections do.
const (
	droppedBefore = "connection: dropped before the request"
	droppedAfter  = "connection: dropped without the response"
	droppedWithin = "connection: dropped within the response"
	late          = "connection: late response"
	leadersMoved  = "leaders shuffled"
	coordinators  = "coordinators moved"
	blackHole     = "black hole"
)

func newWeather(seed uint64) *weather {
	w := &weather{rnd: rand.New(rand.NewPCG(seed, 1)), counts: map[string]int{}}
	w.calm.Store(true)
	return w
}

// begin lets it loose on a cluster that listens through it.
func (w *weather) begin(c *kfake.Cluster) {
	w.cluster = c
	for _, f := range faults {
		when := func(kmsg.Request) bool { return w.strikes(f.name, f.per) }
		fault := kfake.Fault{Keys: f.keys, Err: f.err, Count: -1, TopLevel: f.top, When: when}
		if f.err == kerr.TopicAuthorizationFailed { // people write to logs, and would take no for an answer
			fault.Topic = processors.NotificationEvents
		}
		w.faults = append(w.faults, c.Fault(fault))
	}
	w.calm.Store(false)
}

// end makes everything well again.
func (w *weather) end() {
	w.calm.Store(true)
	for _, f := range w.faults {
		f.Remove()
	}
}

// strikes decides whether something happens, and counts it. What has not happened yet is likely to.
func (w *weather) strikes(what string, perThousand int) bool {
	if w.calm.Load() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts[what] == 0 {
		perThousand = 500
	}
	if w.rnd.IntN(1000) >= perThousand {
		return false
	}
	w.counts[what]++
	return true
}

// misses reports whether there is something that has not happened yet. On a busy machine there are few requests of a kind.
func (w *weather) misses() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(kinds(), func(what string) bool { return w.counts[what] == 0 })
}

// kinds names all that is to happen but the black hole.
func kinds() []string {
	all := []string{droppedBefore, droppedAfter, droppedWithin, late, leadersMoved, coordinators}
	for _, f := range faults {
		all = append(all, f.name)
	}
	return all
}

// pause is how late an answer is.
func (w *weather) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.rnd.ExpFloat64() * float64(20*time.Millisecond))
}

// move moves leaders or coordinators.
func (w *weather) move() {
	if w.strikes(leadersMoved, 500) {
		w.cluster.ShufflePartitionLeaders()
	} else if w.strikes(coordinators, 300) {
		w.cluster.RehashCoordinators()
	}
}

// swallow lets nothing through for a while: neither requests nor answers.
func (w *weather) swallow(d time.Duration) {
	w.mu.Lock()
	w.counts[blackHole]++
	hole := make(chan struct{})
	w.hole = hole
	w.mu.Unlock()
	time.Sleep(d)
	w.mu.Lock()
	w.hole = nil
	w.mu.Unlock()
	close(hole)
}

// pass returns when nothing is swallowed.
func (w *weather) pass() {
	w.mu.Lock()
	hole := w.hole
	w.mu.Unlock()
	if hole != nil {
		<-hole
	}
}

// listen listens as net.Listen does, for a broker that stands in the weather.
func (w *weather) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return exposed{l, w}, err
}

type exposed struct {
	net.Listener
	*weather
}

func (e exposed) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	return &exposedConn{c, e.weather}, err
}

// exposedConn is the broker's end of a connection. The broker reads the four bytes of a request's size by themselves, and
// writes a whole answer at once.
type exposedConn struct {
	net.Conn
	w *weather
}

func (c *exposedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.w.pass()
	if err == nil && len(p) == 4 && c.w.strikes(droppedBefore, 3) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *exposedConn) Write(p []byte) (int, error) {
	c.w.pass()
	if c.w.strikes(late, 50) {
		time.Sleep(c.w.pause())
	}
	switch {
	case c.w.strikes(droppedAfter, 3):
		return 0, net.ErrClosed
	case c.w.strikes(droppedWithin, 3):
		n, _ := c.Conn.Write(p[:len(p)/2])
		return n, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// report prints how often what happened, and fails if something that was to happen never did.
func report(t *testing.T, counts map[string]int, holes bool) {
	t.Helper()
	expected := kinds()
	if holes {
		expected = append(expected, blackHole)
	}
	expected = append(expected, "orders placed", "messages read", "messages that came again and counted once")
	for _, what := range expected {
		t.Logf("%6d %s", counts[what], what)
		if counts[what] == 0 {
			t.Errorf("void: never happened: %s", what)
		}
	}
}
