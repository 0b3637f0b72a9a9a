package journal

import (
	"flag"
	"testing"
	"testing/synctest"
)

var (
	cuts  = flag.Int("cuts", 400, "how many times TestPower cuts the power")
	first = flag.Uint64("world", 0, "the number of the world that TestPower begins with")
)

// manyCuts is how often the power is cut when there is time, and then what takes long is tried, too.
const manyCuts = 10_000

const livesOfAWorld = 6

// However often the power goes, in the middle of anything, starts included: whatever somebody outside was told is
// there, and what is there is a prefix of the one order. See truth.restart.
func TestPower(t *testing.T) {
	prepareCompression(t)
	synctest.Test(t, func(t *testing.T) {
		var stats powerStats
		for seed := *first; stats.cuts < *cuts; seed++ {
			if err := newWorld(seed, flaws{}, &stats).run(livesOfAWorld); err != nil {
				t.Fatalf("world %d: %v", seed, err)
			}
		}
		t.Logf("%+v", stats)
		if *cuts >= 100 && stats.missed() {
			t.Error("something has never happened")
		}
	})
}

// prepareCompression uses the compressor, which has channels in it that must not be of one bubble.
func prepareCompression(t *testing.T) {
	h := newHouse(t)
	h.fill(10)
	h.fill(10)
	h.tidy()
	if _, err := read(h.j, Durable); err != nil {
		t.Fatal(err)
	}
	h.close()
}
