//go:build flaws

package processors_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockflow/engine"
)

// TestBadWeatherFindsFlaws runs with a part of the protocol switched off, until the bad weather has found that: a proof
// that can't fail proves nothing.
//
//	make faults
func TestBadWeatherFindsFlaws(t *testing.T) {
	const enough = 40 // runs
	for _, part := range []string{"sendEarly", "storeEarly", "markEarly"} {
		t.Run(part, func(t *testing.T) {
			var next atomic.Uint64
			var found sync.Map
			var running sync.WaitGroup
			for range *abreast {
				running.Go(func() {
					for n := next.Add(1); n <= enough; n = next.Add(1) {
						if wrong := flawedRun(t, n, part); len(wrong) > 0 {
							found.Store(n, wrong[0])
							next.Store(enough)
						}
					}
				})
			}
			running.Wait()
			runs := 0
			found.Range(func(n, wrong any) bool {
				runs++
				t.Logf("found in run %d: %s", n, wrong)
				return true
			})
			if runs == 0 {
				t.Errorf("not found in %d runs", enough)
			}
		})
	}
}

func flawedRun(t *testing.T, seed uint64, part string) (wrong []string) {
	t.Run(fmt.Sprint(seed), func(t *testing.T) {
		s := openShop(t, seed, func(g *engine.Group) { g.Break(part) })
		s.live(false)
		wrong = s.prove(20 * time.Second)
	})
	return wrong
}
