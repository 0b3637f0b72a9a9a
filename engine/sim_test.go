package engine_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"stockflow/engine"
)

var (
	simSeed  = flag.Uint64("seed", 0, "of the one simulated run that is wanted, with its trace; 0 for many")
	simSeeds = flag.Uint64("seeds", 150, "how many runs are simulated")
)

// TestSimulation runs all machines on the engine's protocol in one goroutine: with crashes between any two steps, disks
// and suffixes of logs that are lost, owners that are stale and don't know, records that arrive when who sent them is
// dead, and people who retry, err and lie. The code that is run is the engine's; only goka, the clients and the disks
// are played. What each log must come to is folded beside it, and held against what the engine does after every step.
//
//	go test ./engine -run TestSimulation -seeds 2000
//	go test ./engine -run TestSimulation -seed N -v
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		w, wrong := simulate(*simSeed, "", true, true)
		t.Logf("seed %d: %s\n%s", *simSeed, w.shape, strings.Join(w.trace, "\n"))
		if wrong != nil {
			t.Error(wrong)
		}
		return
	}
	total := map[string]int{}
	bad := uint64(0)
	var mu sync.Mutex
	sideBySide(*simSeeds, func(seed uint64) bool {
		w, wrong := simulate(seed, "", true, false)
		mu.Lock()
		defer mu.Unlock()
		for what, n := range w.counts {
			total[what] += n
		}
		if wrong != nil && (bad == 0 || seed < bad) {
			bad = seed
		}
		return wrong == nil
	})
	if bad > 0 {
		t.Fatal(shortest(bad, ""))
	}
	for _, what := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%9d %s", total[what], what)
	}
	for _, what := range sometimes {
		if total[what] == 0 {
			t.Errorf("in %d runs never seen: %s", *simSeeds, what)
		}
	}
}

// sometimes are what has to happen in some run, or the runs prove little.
var sometimes = []string{
	"crashes", "crashes with messages under way", "crashes during a recovery", "graceful stops", "stops whose patience ended", "rebalances",
	"stale owners", "stale owners that came to", "messages delivered to stale owners", "commits of stale owners that were refused",
	"older rows behind newer ones", "gaps in changelogs", "records of other owners that were met", "rows written again, as a repair",
	"records of the dead that arrived", "records lost before they were acknowledged", "acknowledgements lost", "records refused for good",
	"losses of power", "batches that a disk lost", "disks lost", "callbacks that waited for room", "messages dropped as repeats by the engine",
	"runs that came to rest at a halt", "messages behind a halt",
	"messages taken", "messages a repeat", "messages moved", "messages a letter", "messages a gap", "letters twice", "letters redriven",
	"orders confirmed", "orders backordered", "orders rejected", "orders cancelled", "orders shipped", "orders delivered",
}

// simulate runs the world of a seed.
func simulate(seed uint64, flaw string, strict, tracing bool) (*world, *violation) {
	s := shapeOf(seed)
	return simulateSteps(s, numbersOf(seed, s.steps), flaw, strict, tracing)
}

func simulateSteps(s shape, numbers []uint64, flaw string, strict, tracing bool) (*world, *violation) {
	w := newWorld(s, flaw, strict, tracing)
	wrong := w.run(numbers)
	for _, g := range specs {
		w.counts["messages dropped as repeats by the engine"] += w.metrics.Repeats(g.name)
	}
	return w, wrong
}

// numbersOf draws the steps of a run.
func numbersOf(seed uint64, steps int) []uint64 {
	r := rand.NewPCG(seed, 4)
	numbers := make([]uint64, steps)
	for i := range numbers {
		numbers[i] = r.Uint64()
	}
	return numbers
}

// sideBySide calls each with the seeds from 1 on, a few at once, until one is not well.
func sideBySide(seeds uint64, each func(seed uint64) (well bool)) {
	var next atomic.Uint64
	var ill atomic.Bool
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := next.Add(1); seed <= seeds && !ill.Load(); seed = next.Add(1) {
				if !each(seed) {
					ill.Store(true)
				}
			}
		})
	}
	all.Wait()
}

// TestTheSameSeedIsTheSameRun, step by step.
func TestTheSameSeedIsTheSameRun(t *testing.T) {
	for seed := range uint64(8) {
		first, _ := simulate(seed+1, "", true, true)
		again, _ := simulate(seed+1, "", true, true)
		for i := range max(len(first.trace), len(again.trace)) {
			if i >= len(first.trace) || i >= len(again.trace) || first.trace[i] != again.trace[i] {
				t.Fatalf("seed %d: step %d of the trace is another the second time", seed+1, i)
			}
		}
	}
}

// mostSeeds is how many runs a flaw may go unseen.
const mostSeeds = 400

// TestFlawsAreCaught switches each part of the protocol off, and sees that the simulation notices: by the part's own
// rule, and, with those checks off, by what comes of it in the end.
func TestFlawsAreCaught(t *testing.T) {
	for _, flaw := range slices.Sorted(maps.Keys(engine.Flaws)) {
		if flaw == "" {
			continue
		}
		t.Run(flaw, func(t *testing.T) {
			for _, strict := range []bool{true, false} {
				if seed, wrong := caught(flaw, strict); wrong == nil {
					t.Errorf("not noticed in %d runs (rules checked: %t)", mostSeeds, strict)
				} else {
					t.Logf("caught by seed %d (rules checked: %t): %s", seed, strict, wrong)
				}
			}
		})
	}
}

func caught(flaw string, strict bool) (uint64, *violation) {
	for seed := range uint64(mostSeeds) {
		if _, wrong := simulate(seed+1, flaw, strict, false); wrong != nil {
			return seed + 1, wrong
		}
	}
	return 0, nil
}

// TestAFailureIsShortened: what a failure prints is the run of a small world, and fails for the same reason.
func TestAFailureIsShortened(t *testing.T) {
	seed, wrong := caught("no repair", true)
	text := shortest(seed, "no repair")
	if lines := strings.Count(text, "\n"); lines > 400 || !strings.Contains(text, wrong.rule) {
		t.Errorf("%d lines, and another end:\n%s", lines, text)
	}
	t.Log(text)
}

// shortest tells the shortest failing run that it finds, beginning with that of a seed.
func shortest(seed uint64, flaw string) string {
	s := shapeOf(seed)
	numbers := numbersOf(seed, s.steps)
	w, wrong := simulateSteps(s, numbers, flaw, true, false)
	if wrong == nil {
		return fmt.Sprintf("seed %d failed, and did not again: the simulation is not deterministic", seed)
	}
	sh := shortener{flaw: flaw, rule: wrong.rule, shape: s, numbers: numbers}
	sh.keep(w)
	sh.shrinkShape()
	sh.shrinkSteps()
	w, wrong = simulateSteps(sh.shape, sh.numbers, flaw, true, true)
	return fmt.Sprintf("seed %d: %s\nits whole trace: make sim SEED=%d; the shortest run found that fails likewise has %s:\n%s\n%s",
		seed, wrong, seed, sh.shape, strings.Join(w.trace, "\n"), wrong)
}

// shortener looks for a shorter run that breaks the same rule.
type shortener struct {
	flaw, rule string
	shape      shape
	numbers    []uint64
	runs       int
}

// enoughRuns is how many runs are tried.
const enoughRuns = 600

// fails tries a run, and keeps it if it fails likewise.
func (sh *shortener) fails(s shape, numbers []uint64) bool {
	sh.runs++
	w, wrong := simulateSteps(s, numbers, sh.flaw, true, false)
	if wrong == nil || wrong.rule != sh.rule {
		return false
	}
	sh.shape, sh.numbers = s, numbers
	sh.keep(w)
	return true
}

// keep leaves out the numbers that nothing came of, and those after the failure.
func (sh *shortener) keep(w *world) {
	var kept []uint64
	for i, n := range sh.numbers {
		if i >= len(w.did) { // the step that failed, and those after it
			kept = append(kept, n)
			break
		}
		if w.did[i] {
			kept = append(kept, n)
		}
	}
	sh.numbers = kept
}

func (sh *shortener) shrinkShape() {
	for _, smaller := range []func(*shape){
		func(s *shape) { s.partitions = 1 }, func(s *shape) { s.partitions = 2 },
		func(s *shape) { s.processes = 1 }, func(s *shape) { s.processes = 2 },
		func(s *shape) { s.skus = 1 }, func(s *shape) { s.requests /= 2 }, func(s *shape) { s.requests /= 2 },
	} {
		s := sh.shape
		if smaller(&s); s != sh.shape {
			sh.fails(s, sh.numbers)
		}
	}
}

// shrinkSteps leaves out longer and shorter pieces, from the end on.
func (sh *shortener) shrinkSteps() {
	for size := len(sh.numbers) / 2; size > 0; size /= 2 {
		for end := len(sh.numbers); end-size >= 0 && sh.runs < enoughRuns; end -= size {
			end = min(end, len(sh.numbers))
			if end-size < 0 {
				break
			}
			sh.fails(sh.shape, slices.Concat(sh.numbers[:end-size], sh.numbers[end:]))
		}
	}
}
