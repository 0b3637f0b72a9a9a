package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
)

// The simulation drives the engine by hand. It is in package engine_test, as it runs the machines of package
// processors, which imports this one; what it needs of the inside is here.

// Outlet and Disk are what the simulation has in place of franz-go's client and goleveldb.
type (
	Outlet = outlet
	Disk   = disk
)

// HeldRow is a row on its way into the changelog.
type HeldRow = held

// Hand is one life of a group, driven by hand in one goroutine: it stands where goka, sarama, the engine's goroutines
// and its timers do. What it drives is the engine's own.
type Hand struct {
	i       *instance
	receive func(message) error
	config  HandConfig
	session *session
	parked  []*callback

	// Underway counts the messages that goka would wait for at the end of a session.
	Underway int
}

// HandConfig is the world of a Hand.
type HandConfig struct {
	Partitions      int32
	Client, Letters Outlet
	Ends            func(topic string, partition int32) int64
	Foreign         func(l *HandWorker, from, to int64) // has those records of the changelog read
	Failed          func(err error)                     // is told what ends this life
	MostTaken       int                                 // of a worker; 0 for the program's own
	Direct          bool                                // workers send rows that need not wait, and ends are asked for one by one: as on a journal
	Flaw            string                              // a name of Flaws, or ""
	Metrics         *Metrics
}

// Flaws are the parts of the protocol that can be switched off, by name.
var Flaws = map[string]flaws{
	"":                       {},
	"skip the wait":          {sendEarly: true},
	"mark early":             {markEarly: true},
	"forget seen":            {forgetSeen: true},
	"keep dirty rows":        {storeEarly: true},
	"no repair":              {noRepair: true},
	"release from a promise": {sendInside: true},
}

// PowerFlaws are those that only a loss of power shows.
var PowerFlaws = map[string]flaws{
	"":             {},
	"flush early":  {flushEarly: true},
	"commit early": {commitEarly: true},
}

// Weaken switches off a part of the protocol, by its name in PowerFlaws, before the group runs.
func (g *Group) Weaken(flaw string) { g.base.flaws = PowerFlaws[flaw] }

// NewHand begins a life of a machine's group.
func NewHand[S any](m Machine[S], c HandConfig) *Hand {
	h := &Hand{config: c}
	list := func(_ context.Context, topics ...string) (map[source]int64, error) {
		found := map[source]int64{}
		for _, topic := range topics {
			for p := range c.Partitions {
				found[source{topic, p}] = c.Ends(topic, p)
			}
		}
		return found, nil
	}
	sending, refuse := context.WithCancel(context.Background())
	h.i = &instance{
		sending: sending, refuse: refuse,
		group: m.Group, input: m.Log, table: m.Table, partitions: c.Partitions,
		eventSource: []byte("/stockflow/" + m.Group), log: slog.New(slog.DiscardHandler), metrics: c.Metrics.of(m.Group),
		flaws: Flaws[c.Flaw], skips: NewSkips(nil), mostApplied: c.MostTaken, ends: &ends{list: list, logs: append([]string{m.Log}, m.AcceptsFrom...), known: map[source]int64{}},
		life: context.Background(), stop: c.Failed, changed: func() {},
		workers: make([]atomic.Pointer[worker], c.Partitions), halts: map[int32]string{},
	}
	if c.Direct {
		h.i.ends.end = c.Ends
	}
	h.i.producer = &producer{h.i, c.Client, c.Letters}
	h.receive = (&processing[S]{machine: m, instance: h.i}).receive
	return h
}

// Begin begins a session. mark is told how far its messages are done.
func (h *Hand) Begin(mark func(partition int32, offset int64)) {
	h.session = &session{ConsumerGroupSession: marks{mark: mark}, workers: map[int32]*worker{}}
}

// marks is sarama's session as far as the engine's marks in it.
type marks struct {
	sarama.ConsumerGroupSession
	mark func(int32, int64)
}

func (m marks) MarkOffset(_ string, partition int32, offset int64, _ string) {
	m.mark(partition, offset)
}

// End ends the session, as far as that is goka's: callbacks that have parked return.
func (h *Hand) End() {
	for _, c := range h.parked {
		h.Underway++
		c.finish()
	}
	h.parked, h.session = nil, nil
}

// Fail ends the life at an error, GiveUp as a stop does whose patience is over, CloseClients as goka does in the end.
func (h *Hand) Fail(err error) { h.i.fail(err) }
func (h *Hand) GiveUp()        { h.i.fail(errEnded) }
func (h *Hand) CloseClients()  { _ = h.i.producer.Close() }

// Deliver hands a message to the machine. It returns when goka's callback would, or when it parks.
func (h *Hand) Deliver(r Record, headers map[string][]byte) {
	r.Origin, r.Redrive = headers[codecs.HeaderOrigin], headers[codecs.HeaderRedrive]
	c := &callback{hand: h, session: h.session, partition: r.Partition, offset: r.Offset}
	h.Underway++
	err := h.receive(message{Record: r, headers: headers, session: context.Background(), from: c})
	if errors.As(err, new(halted)) {
		h.parked = append(h.parked, c)
		h.Underway-- // until the session ends, when it returns
		return
	}
	c.finish()
}

// callback is goka's context of a message, as far as it decides when the message is done.
type callback struct {
	hand      *Hand
	session   *session
	partition int32
	offset    int64
	pending   int // deferred, and not done
	finished  bool
	err       error
}

// DeferCommit implements deliverer.
func (c *callback) DeferCommit() func(error) {
	c.pending++
	done := false
	return func(err error) {
		if done {
			return
		}
		done = true
		c.pending--
		c.settle(err)
	}
}

func (c *callback) finish() {
	c.finished = true
	c.settle(nil)
}

func (c *callback) settle(err error) {
	c.err = errors.Join(c.err, err)
	if !c.finished || c.pending > 0 {
		return
	}
	c.hand.Underway--
	if c.err != nil {
		c.hand.config.Failed(c.err)
		return
	}
	c.session.MarkOffset(c.hand.i.input, c.partition, c.offset+1, "")
}

// HandWorker is a worker of a Hand.
type HandWorker struct {
	hand   *Hand
	store  *workerStore
	worker *worker
}

// Open begins a worker of the session, on a disk.
func (h *Hand) Open(partition int32, d Disk) (*HandWorker, error) {
	store := NewStore("", func(string, ...any) {})
	ls, err := h.i.begin(partition, store)
	if err != nil {
		return nil, err
	}
	l := &HandWorker{h, ls, ls.worker}
	l.worker.direct = h.config.Direct
	l.worker.foreign = func(_ *worker, from, to int64) { h.config.Foreign(l, from, to) }
	h.session.workers[partition] = l.worker
	return l, store.begin(d)
}

// Stored returns the offset of the last record of the changelog that the worker's store has, -1 if it has none.
func (l *HandWorker) Stored() int64 {
	offset, _ := l.store.GetOffset(noOffset)
	return offset
}

// Recover takes in a record of the changelog.
func (l *HandWorker) Recover(key string, value []byte, offset int64) error {
	if err := l.worker.recover(key, value, offset); err != nil {
		return err
	}
	return l.store.SetOffset(offset)
}

// Own ends the recovery.
func (l *HandWorker) Own() error { return l.store.own() }

// Ready, Take and Send are what the worker's goroutine does.
func (l *HandWorker) Ready() bool {
	l.worker.mu.Lock()
	defer l.worker.mu.Unlock()
	return l.worker.ready()
}
func (l *HandWorker) Take() []*HeldRow { return l.worker.take() }
func (l *HandWorker) Send(h *HeldRow)  { l.worker.send(l.worker, h) }

// Flush is a turn of the store's loop.
func (l *HandWorker) Flush() error { return l.store.flush() }

// Meet takes in a record that another instance wrote, and Met ends what Foreign began. An error is to end the life,
// unless the worker is over.
func (l *HandWorker) Meet(key string, value []byte) error {
	l.hand.i.metrics.foreign.Inc()
	return l.worker.meet(key, value)
}
func (l *HandWorker) Met()       { l.store.Unpin() }
func (l *HandWorker) Over() bool { return l.worker.over() }

// Moved is a turn of the idle check.
func (l *HandWorker) Moved(end int64) { l.worker.moved(end) }

// Close closes the worker, as goka does at the end of a session.
func (l *HandWorker) Close() error { return l.store.Close() }

// Halted reports whether the worker has stopped at a message.
func (l *HandWorker) Halted() bool { return l.worker.halted != noOffset }

// Quiet reports whether nothing of the worker's is under way.
func (l *HandWorker) Quiet() bool {
	l.worker.mu.Lock()
	defer l.worker.mu.Unlock()
	return len(l.worker.queue)+len(l.worker.sent)+len(l.worker.open) == 0
}

// Pinned reports whether the store's offset is.
func (l *HandWorker) Pinned() bool { return l.store.pins > 0 }

// Key is the row's.
func (h *held) Key() string { return h.key }

// Repeats returns how many messages groups have dropped as repeats.
func (m *Metrics) Repeats(groups ...string) (n int) {
	for _, g := range groups {
		n += int(testutil.ToFloat64(m.repeats.WithLabelValues(g)))
	}
	return n
}

// Record is the message that a redrive sends.
func (l Redrive) Record(partitions int32) *kgo.Record { return l.record(partitions) }

// DiskOffset reads what a disk holds under a key: the offset of the changelog, or the row of a key.
func DiskOffset(key []byte) bool { return string(key) == offsetKey }

// DiskRow returns the key of a row under which a disk holds it, false if it isn't a row's.
func DiskRow(key []byte) (string, bool) {
	if len(key) > 0 && string(key[:1]) == rowPrefix {
		return string(key[1:]), true
	}
	return "", false
}
