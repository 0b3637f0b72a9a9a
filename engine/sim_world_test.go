package engine_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/broker"
	"stockflow/engine"
)

// shape is how large a world is.
type shape struct {
	partitions int32
	processes  int
	skus       int
	requests   int
	buffer     int // of a client, in records
	steps      int
	faults     int  // how often something fails, in thousandths of the steps
	newer      bool // somebody has a newer program
	taken      int  // bytes of what went into a row that replaces others, 0 for as many as the program allows
}

func (s shape) String() string {
	return fmt.Sprintf("%d partitions, %d processes, %d SKUs, %d requests, buffers of %d, %d faults in 1000 steps, %d bytes taken", s.partitions, s.processes, s.skus, s.requests, s.buffer, s.faults, s.taken)
}

// shapeOf draws the shape of a world.
func shapeOf(seed uint64) shape {
	r := rand.New(rand.NewPCG(seed, 1))
	return shape{
		partitions: []int32{1, 1, 2, 3, 5, 8, 8}[r.IntN(7)],
		processes:  1 + r.IntN(3),
		skus:       1 + r.IntN(4),
		requests:   20 + r.IntN(80),
		buffer:     []int{2, 4, 16, 1000}[r.IntN(4)],
		steps:      1000 + r.IntN(4000),
		faults:     []int{4, 10, 30}[r.IntN(3)],
		newer:      r.IntN(12) == 0,
		taken:      []int{0, 0, 1, 200}[r.IntN(4)],
	}
}

// world is all of Stockflow in memory: logs, processes, people. One goroutine owns it, and each of its steps draws
// from a number of its own, so that a run is the list of these numbers.
type world struct {
	shape  shape
	flaw   string
	strict bool // rules are checked, not only what comes of them
	source *rand.PCG
	rnd    *rand.Rand
	clock  int64

	shelves   []*shelf
	groups    []*group
	processes []*process
	ghosts    []*line
	people    *people
	mails     *mails
	oracle    *oracle
	metrics   *engine.Metrics

	running *callback // that runs now
	fits    []*owned
	resting bool
	tracing bool
	did     []bool // of each number, whether anything came of it
	trace   []string
	counts  map[string]int
}

func newWorld(s shape, flaw string, strict, tracing bool) *world {
	w := &world{shape: s, flaw: flaw, strict: strict, tracing: tracing, source: rand.NewPCG(0, 0), counts: map[string]int{},
		metrics: engine.NewMetrics(prometheus.NewRegistry())}
	w.rnd = rand.New(w.source)
	for n, topic := range topics {
		for p := range s.partitions {
			w.shelves = append(w.shelves, &shelf{topic: topic, number: n, partition: p})
		}
	}
	for n, s := range specs {
		w.groups = append(w.groups, &group{spec: s, number: n, committed: make([]int64, w.shape.partitions)})
	}
	w.people = &people{w: w, budget: s.requests}
	w.mails = newMails(w)
	w.oracle = newOracle(w)
	for n := range s.processes {
		p := &process{name: string(rune('A' + n)), members: make([]*member, len(specs))}
		for range specs {
			disks := make([]*platter, s.partitions)
			for i := range disks {
				disks[i] = newPlatter()
			}
			p.disks = append(p.disks, disks)
		}
		w.processes = append(w.processes, p)
	}
	return w
}

// act is a thing that can happen. It reports whether it did.
type act struct {
	weight int
	do     func(*world) bool
}

// work is what happens by itself, in the end until nothing is left to do.
var work = []act{
	{20, (*world).replicate}, {25, (*world).deliver}, {12, (*world).take}, {16, (*world).send}, {20, (*world).appendNext},
	{20, (*world).acknowledge}, {4, (*world).flush}, {3, (*world).sync}, {5, (*world).commit}, {3, (*world).idle},
	{6, (*world).readForeign}, {10, (*world).recover}, {8, (*world).unstick}, {8, (*world).progress}, {2, (*world).haunt},
	{6, func(w *world) bool { return w.mails.act() }}, {2, (*world).start}, {2, (*world).comeTo},
	{5, func(w *world) bool { return w.people.act() }},
}

// faults are what does not happen at rest.
var faults = []act{
	{5, (*world).crash}, {3, (*world).stop}, {5, (*world).losePatience}, {20, (*world).giveUp}, {3, (*world).loseDisk}, {2, (*world).losePower},
	{6, (*world).loseSuffix}, {2, (*world).refuse}, {5, (*world).rebalance}, {1, func(w *world) bool { return w.mails.crash() }},
}

func weightOf(acts []act) (n int) {
	for _, a := range acts {
		n += a.weight
	}
	return n
}

var workWeight, faultWeight = weightOf(work), weightOf(faults)

// step lets something happen that a number decides.
func (w *world) step(number uint64) bool {
	w.source.Seed(number, 0)
	acts, weight := work, workWeight
	if !w.resting && w.rnd.IntN(1000) < w.shape.faults {
		acts, weight = faults, faultWeight
	}
	n := w.rnd.IntN(weight)
	for _, a := range acts {
		if n -= a.weight; n < 0 {
			return a.do(w)
		}
	}
	return false
}

// run lets a world be, and returns what is wrong with it.
func (w *world) run(numbers []uint64) (wrong *violation) {
	defer func() {
		if p := recover(); p != nil {
			v, ours := p.(*violation)
			if !ours {
				panic(p)
			}
			wrong = v
		}
		for _, m := range w.everyone() { // so that no coroutine stays
			for _, o := range m.workers {
				if o.stuck != nil && o.stuck != w.running {
					o.stuck.stop()
				}
			}
		}
	}()
	w.source.Seed(0, 2)
	w.start()
	for _, n := range numbers {
		w.did = append(w.did, w.step(n))
	}
	w.note("from here on, nothing fails")
	w.resting, w.people.budget = true, 0
	w.rest()
	w.checkRest()
	return nil
}

// patience is how many steps a world may take to come to rest.
const patience = 400_000

func (w *world) rest() {
	numbers := rand.NewPCG(1, 3)
	for n := range patience {
		did := w.step(numbers.Uint64())
		if n%64 == 0 || !did {
			if n%16 == 0 && w.atRest() {
				return
			}
		}
	}
	w.fail("it does not come to rest: %s", w.unrest())
}

func (w *world) unrest() string {
	var why []string
	for _, m := range w.everyone() {
		for _, o := range m.workers {
			if !o.working || len(o.taken) > 0 || o.stuck != nil || o.next < o.log.visible || !o.worker.Quiet() {
				why = append(why, fmt.Sprintf("%s is at %d of %d, %d messages under way", o, o.next, o.log.visible, m.hand.Underway))
			}
		}
	}
	return fmt.Sprint(why)
}

// violation is a thing that must not be.
type violation struct {
	rule string
	text string
}

func (v *violation) Error() string { return v.text }

// fail ends the run.
func (w *world) fail(format string, args ...any) {
	panic(&violation{format, fmt.Sprintf(format, args...)})
}

// rule ends the run when the rules are checked, and not only what comes of them.
func (w *world) rule(name, format string, args ...any) {
	if w.strict {
		panic(&violation{name, name + ": " + fmt.Sprintf(format, args...)})
	}
}

func (w *world) note(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf(format, args...))
	}
}

func (w *world) count(what string) { w.counts[what]++ }

func (w *world) partitionOf(key string) int32 {
	return broker.Partition([]byte(key), w.shape.partitions)
}

// pick returns one of those that fit, by chance, or none.
func pick[T any](w *world, all []T, fit func(T) bool) (one T) {
	n := 0
	for _, x := range all {
		if fit == nil || fit(x) {
			n++
			if w.rnd.IntN(n) == 0 {
				one = x
			}
		}
	}
	return one
}
