package engine

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
)

// Instances come and go, each with a directory of its own, and every message is taken once. Who joins or leaves has
// the others rebalance; goka's own loop would sleep five seconds at each of them.
func TestInstancesComeAndGo(t *testing.T) {
	t.Parallel()
	b := newBench(t, 8)
	want := map[string]int64{}
	feed := func(n int) {
		for i := range n {
			key := fmt.Sprintf("k%d", i%50)
			b.put(toyLog, key, receive(int64(i+1), "out"))
			want[key] += int64(i + 1)
		}
	}
	_, stopFirst := b.run(toyMachine())
	feed(200)
	b.dir = t.TempDir()
	second, stopSecond := b.run(toyMachine())
	if err := second.WaitReady(within(t)); err != nil {
		t.Fatalf("the second is not ready: %q", second.Waiting())
	}
	feed(200)
	stopFirst()
	feed(200)
	b.sums(want)
	b.dir = t.TempDir()
	third, _ := b.run(toyMachine())
	if err := third.WaitReady(within(t)); err != nil {
		t.Fatalf("the third is not ready: %q", third.Waiting())
	}
	feed(200)
	stopSecond()
	feed(200)
	b.sums(want)
	b.onceEach(1000)
}

// onceEach checks that the sink has exactly one output for each of n messages, repeats by origin aside, and that each
// key's outputs are the sums one after the other: nothing was taken twice or out of order.
func (b *bench) onceEach(n int) {
	b.t.Helper()
	last := map[string]int64{}
	seen := map[string]bool{}
	b.follow(toySink, func(r *kgo.Record) bool {
		origin := headerOf(r, codecs.HeaderOrigin)
		if seen[origin] {
			return len(seen) == n
		}
		seen[origin] = true
		sum, err := strconv.ParseInt(string(r.Value), 10, 64)
		if err != nil {
			b.t.Fatal(err)
		}
		if sum <= last[string(r.Key)] {
			b.t.Errorf("the sum of %s went from %d to %d", r.Key, last[string(r.Key)], sum)
		}
		last[string(r.Key)] = sum
		return len(seen) == n
	})
}
