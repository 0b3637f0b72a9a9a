package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"stockflow/broker"
)

// outage measures how long what clients need is away: somebody receives one unit of a SKU of each partition, and is
// told when it is decided, again and again, and somebody reads its row. What counts is the longest time between two answers.
type outage struct {
	c       *cluster
	ends    context.CancelFunc
	working sync.WaitGroup

	mu       sync.Mutex // guards what follows
	changed  chan struct{}
	progress [partitions]pulse
	reads    [partitions]pulse
}

// pulse is when something was well the last time.
type pulse struct {
	last    time.Time
	longest time.Duration // between two times
	beats   int
}

// breath is between two questions.
const breath = 20 * time.Millisecond

// watch begins to measure, at the door for those who do.
func (c *cluster) watch() *outage {
	ctx, cancel := context.WithCancel(c.t.Context())
	o := &outage{c: c, ends: cancel, changed: make(chan struct{})}
	now := time.Now()
	for p := range partitions {
		o.progress[p].last, o.reads[p].last = now, now
		name := skuOn(int32(p))
		writer := o.asker(fmt.Sprintf("writer-%d", p))
		reader := o.asker(fmt.Sprintf("reader-%d", p))
		written := make(chan struct{})
		o.working.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				writer.n = n
				writer.moveOf(name, "receipts", 1, "")
				o.beat(&o.progress[p])
				if n == 0 {
					close(written)
				}
				rested(ctx)
			}
		})
		o.working.Go(func() {
			<-written
			o.beat(&o.reads[p])
			for ctx.Err() == nil {
				reader.get("/v1/inventory/" + name)
				o.beat(&o.reads[p])
				rested(ctx)
			}
		})
	}
	o.settle()
	o.tell("")
	return o
}

func (o *outage) asker(name string) *client {
	c := newClient(o.c.t.Context(), o.c.books, o.c.probe, name, o.c.seed, rand.Uint64())
	c.ctx = o.c.t.Context()
	return c
}

func rested(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(breath):
	}
}

// skuOn is a SKU that lives in a partition.
func skuOn(p int32) string {
	for n := 0; ; n++ {
		if name := fmt.Sprintf("t%03d", n); broker.Partition([]byte(name), partitions) == p {
			return name
		}
	}
}

func (o *outage) beat(p *pulse) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	p.longest, p.last = max(p.longest, now.Sub(p.last)), now
	p.beats++
	close(o.changed)
	o.changed = make(chan struct{})
}

// settle waits until all have been answered twice more: one of the answers was asked for from now on.
func (o *outage) settle() {
	o.c.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var want []int
	for _, p := range o.pulses() {
		want = append(want, p.beats+2)
	}
	patience := time.NewTimer(2 * time.Minute)
	defer patience.Stop()
	for i, p := range o.pulses() {
		for p.beats < want[i] {
			changed := o.changed
			o.mu.Unlock()
			select {
			case <-changed:
			case <-patience.C:
				o.mu.Lock()
				o.c.t.Fatalf("%d of %d: nobody is answered any more", i, 2*partitions)
			}
			o.mu.Lock()
		}
	}
}

// pulses are all of them. The caller holds mu.
func (o *outage) pulses() (all []*pulse) {
	for p := range partitions {
		all = append(all, &o.progress[p], &o.reads[p])
	}
	return all
}

// tell says what the longest times were since it was called before.
func (o *outage) tell(when string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%s: progress of a partition was out for %s, reads of a key for %s", when, spread(o.progress[:]), spread(o.reads[:]))
}

// spread says what there is between the partitions, and begins anew.
func spread(all []pulse) string {
	var times []time.Duration
	for i := range all {
		times = append(times, all[i].longest.Round(time.Millisecond))
		all[i].longest = 0
	}
	slices.Sort(times)
	return fmt.Sprintf("%s in the median of all, %s at most", times[len(times)/2], times[len(times)-1])
}

// end is for when there is nothing more to measure.
func (o *outage) end() {
	o.ends()
	o.working.Wait()
}
