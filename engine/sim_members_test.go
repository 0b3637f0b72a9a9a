package engine_test

import (
	"errors"
	"fmt"
	"iter"

	"stockflow/engine"
)

// process is one of the processes that share the work. Its disks outlive it.
type process struct {
	name    string
	up      bool
	lives   int
	members []*member // one a group, nil while there is none
	disks   [][]*platter
}

// member is one life of a group in a process. It is what goka and sarama make of an engine's instance.
type member struct {
	p       *process
	g       *group
	name    string
	hand    *engine.Hand
	client  *client
	letters *client

	session  bool     // it has one
	workers  []*owned // of the session
	marked   []int64  // by partition, of the session; -1 for none
	leaving  bool     // takes no message any more, and ends its session when all is done
	stale    bool     // the group has given it up, and it doesn't know yet
	quitting bool     // is to end for good with its session
	failed   error
	foreign  []*foreignRead
}

// owned is a partition of a session.
type owned struct {
	m         *member
	partition int32
	worker    *engine.HandWorker
	log       *shelf
	changelog *shelf
	disk      *platter
	working   bool  // has recovered
	next      int64 // the next offset of the changelog while it recovers, of the log from then on
	until     int64 // where the recovery ends
	start     int64 // what was committed when the session began
	taken     []*engine.HeldRow
	stuck     *callback // a callback that waits for room in the client's buffer
	ended     int64     // where the changelog ended when the idle check asked, -1 if it has not
	looked    int64     // up to where the idle check has looked while nothing was under way
}

// foreignRead are records of a changelog that are to be read as somebody else wrote them.
type foreignRead struct {
	o        *owned
	next, to int64
}

func (o *owned) String() string { return fmt.Sprintf("%s/%d", o.m.name, o.partition) }

// join begins a life of a group in a process.
func (w *world) join(p *process, g *group) {
	p.lives++
	m := &member{p: p, g: g, name: fmt.Sprintf("%s.%d:%s", p.name, p.lives, g.spec.name)}
	m.client = w.newClient(m.name, w.shape.buffer)
	m.letters = w.newClient(m.name+":letters", w.shape.buffer)
	m.hand = g.spec.hand(engine.HandConfig{
		Partitions: w.shape.partitions, Client: m.client, Letters: m.letters, Ends: w.end, MostTaken: w.shape.taken, Flaw: w.flaw, Metrics: w.metrics,
		Failed: func(err error) {
			if m.failed == nil {
				m.failed = err
				w.note("%s fails: %v", m.name, err)
			}
		},
		Foreign: func(l *engine.HandWorker, from, to int64) {
			w.count("gaps in changelogs")
			for _, o := range m.workers {
				if o.worker == l {
					m.foreign = append(m.foreign, &foreignRead{o, from, to})
				}
			}
		},
	})
	p.members[g.number] = m
	g.members = append(g.members, m)
	g.rebalancing = true
	w.note("%s joins", m.name)
}

// begin begins a session with some partitions.
func (w *world) begin(m *member, partitions []int32) {
	m.session, m.leaving, m.workers = true, false, nil
	marked := make([]int64, w.shape.partitions)
	for i := range marked {
		marked[i] = -1
	}
	m.marked = marked
	m.hand.Begin(func(p int32, offset int64) { marked[p] = max(marked[p], offset) })
	for _, p := range partitions {
		if err := w.open(m, p); err != nil {
			if m.failed == nil {
				w.fail("%s can't open partition %d: %v", m.name, p, err)
			}
			return
		}
	}
}

func (w *world) open(m *member, p int32) error {
	o := &owned{m: m, partition: p, disk: m.p.disks[m.g.number][p], ended: -1,
		log: w.shelf(m.g.spec.log, p), changelog: w.shelf(m.g.spec.table, p)}
	if o.disk.open != nil {
		w.fail("%s is opened twice", o)
	}
	o.disk.open = &access{p: o.disk, written: func() { w.oracle.wrote(o) }}
	worker, err := m.hand.Open(p, o.disk.open)
	if err != nil {
		return err
	}
	o.worker, o.next, o.until, o.start = worker, worker.Stored()+1, o.changelog.visible, m.g.committed[p]
	m.workers = append(m.workers, o)
	return nil
}

// recover takes in some records of a changelog, and at its end makes the worker an owner.
func (w *world) recover() bool {
	o := w.someOwned(func(o *owned) bool { return !o.working })
	if o == nil {
		return false
	}
	from := o.next
	for n := 1 + w.rnd.IntN(20); n > 0 && o.next < o.until; n-- {
		r := o.changelog.records[o.next]
		if err := o.worker.Recover(r.key, r.value, o.next); err != nil {
			w.fail("%s does not recover offset %d: %v", o, o.next, err)
		}
		o.next++
	}
	if o.next < o.until {
		w.note("%s recovers offsets %d to %d", o, from, o.next-1)
		return true
	}
	if err := o.worker.Own(); err != nil {
		if o.m.failed != nil {
			return true
		}
		w.fail("%s does not come to own its partition: %v", o, err)
	}
	o.working, o.next = true, o.start
	w.note("%s has recovered from offset %d up to %d, and goes on at offset %d of its log", o, from, o.until, o.next)
	return true
}

// deliver gives the next message of a partition to its owner, which may get stuck in it while the client is full.
func (w *world) deliver() bool {
	o := w.someOwned(func(o *owned) bool {
		return o.working && !o.m.leaving && o.m.failed == nil && o.stuck == nil && !o.worker.Halted() && o.next < o.log.visible
	})
	if o == nil {
		return false
	}
	r, headers := w.incoming(o.log, o.next)
	o.next++
	if o.log.records[r.Offset].marker {
		return true
	}
	if o.m.stale {
		w.count("messages delivered to stale owners")
	}
	w.note("%s is given offset %d", o, r.Offset)
	o.stuck = w.call(func() { o.m.hand.Deliver(r, headers) })
	if o.stuck != nil {
		w.count("callbacks that waited for room")
	}
	return true
}

// unstick lets a callback go on for which there is room now.
func (w *world) unstick() bool {
	o := w.someOwned(func(o *owned) bool { return o.stuck != nil && !o.stuck.waits.full() })
	if o == nil {
		return false
	}
	w.note("%s goes on in its callback", o)
	o.stuck = w.resume(o.stuck)
	return true
}

// callback is a callback that waits, in a coroutine of its own.
type callback struct {
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	waits *client // for room in its buffer
}

// errAbandoned ends the coroutine of a callback whose process is no more.
var errAbandoned = errors.New("abandoned")

// call runs f until its end, or until it waits: then it returns what is left of it.
func (w *world) call(f func()) *callback {
	c := &callback{}
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if p := recover(); p != nil && p != any(errAbandoned) {
				panic(p)
			}
		}()
		c.yield = yield
		f()
	})
	return w.resume(c)
}

func (w *world) resume(c *callback) *callback {
	w.running = c
	_, waits := c.next()
	w.running = nil
	if !waits {
		return nil
	}
	return c
}

// block makes the running callback wait for room in a client's buffer.
func (w *world) block(on *client) {
	c := w.running
	if c == nil {
		w.fail("%s is full, and who produces may not wait", on.name)
	}
	c.waits = on
	if !c.yield(struct{}{}) {
		panic(errAbandoned)
	}
	w.running = c
}

// take has a worker's goroutine take the rows that may go.
func (w *world) take() bool {
	o := w.someOwned(func(o *owned) bool { return o.working && len(o.taken) == 0 && o.worker.Ready() })
	if o == nil {
		return false
	}
	o.taken = o.worker.Take()
	w.note("%s may send %d rows", o, len(o.taken))
	return true
}

// send has a worker's goroutine send one of the rows that it took.
func (w *world) send() bool {
	o := w.someOwned(func(o *owned) bool { return len(o.taken) > 0 && !o.m.client.full() })
	if o == nil {
		return false
	}
	h := o.taken[0]
	o.taken = o.taken[1:]
	w.note("%s sends the row of %s", o, h.Key())
	o.worker.Send(h)
	return true
}

// flush has a store write its batch.
func (w *world) flush() bool {
	o := w.someOwned(func(*owned) bool { return true })
	if o == nil {
		return false
	}
	w.note("%s flushes its store", o)
	if err := o.worker.Flush(); err != nil {
		w.fail("%s does not flush: %v", o, err)
	}
	return true
}

// sync makes a disk safe.
func (w *world) sync() bool {
	p := pick(w, w.processes, nil)
	d := pick(w, pick(w, p.disks, nil), func(d *platter) bool { return len(d.unsynced) > 0 })
	if d != nil {
		d.sync()
	}
	return d != nil
}

// idle is the check for records of others while nothing is under way: it asks for the end, and acts on it later.
func (w *world) idle() bool {
	o := w.someOwned(func(o *owned) bool { return o.working })
	if o == nil {
		return false
	}
	if o.ended < 0 {
		o.ended = o.changelog.visible
		return true
	}
	w.note("%s looks whether its changelog has moved to %d", o, o.ended)
	o.worker.Moved(o.ended)
	if o.worker.Quiet() {
		o.looked = o.ended
	}
	o.ended = -1
	return true
}

// readForeign reads some records that somebody else wrote.
func (w *world) readForeign() bool {
	m := w.someMember(func(m *member) bool { return len(m.foreign) > 0 })
	if m == nil {
		return false
	}
	i := w.rnd.IntN(len(m.foreign))
	f := m.foreign[i]
	if f.o.stuck != nil { // no row is met while one is folded
		return false
	}
	for n := 1 + w.rnd.IntN(3); n > 0 && f.next < f.to; n-- {
		r := f.o.changelog.records[f.next]
		w.note("%s meets offset %d of its changelog, %s", f.o, f.next, w.describe(f.o.changelog, r))
		w.count("records of other owners that were met")
		if err := f.o.worker.Meet(r.key, r.value); err != nil {
			if !f.o.worker.Over() {
				m.hand.Fail(err)
			}
			m.foreign = append(m.foreign[:i], m.foreign[i+1:]...)
			return true
		}
		f.next++
	}
	if f.next == f.to {
		f.o.worker.Met()
		m.foreign = append(m.foreign[:i], m.foreign[i+1:]...)
	}
	return true
}

func (w *world) someOwned(fit func(*owned) bool) *owned {
	w.fits = w.fits[:0]
	for _, p := range w.processes {
		for _, m := range p.members {
			if m == nil {
				continue
			}
			for _, o := range m.workers {
				if fit(o) {
					w.fits = append(w.fits, o)
				}
			}
		}
	}
	return pick(w, w.fits, nil)
}

func (w *world) someMember(fit func(*member) bool) *member {
	var fits []*member
	for _, p := range w.processes {
		for _, m := range p.members {
			if m != nil && fit(m) {
				fits = append(fits, m)
			}
		}
	}
	return pick(w, fits, nil)
}
