package torture

import (
	"flag"
	"strings"
	"testing"
	"time"

	"stockflow/processors"
	"stockflow/stockflowtest/kafka"
)

var (
	leaders = flag.Int("leaders", 0, "how often a broker of Kafka is killed that leads; without, nothing is tried on Kafka")
	down    = flag.Duration("down", time.Minute, "how long all brokers of Kafka are gone")
)

const (
	// shortestSession is the shortest that Kafka allows.
	shortestSession = 6 * time.Second
	// programSession is what the program asks for by itself.
	programSession = 10 * time.Second
	// paused is how long a broker is stopped: longer than it takes the others to go on without it.
	paused = 15 * time.Second
)

// TestOnKafka does to a Kafka of three brokers what can happen to one, with Stockflows at work on it, and to these what
// can happen to them. After each, nothing may be missing, there twice, or unlike its fold; and verify says the same.
func TestOnKafka(t *testing.T) {
	if *leaders == 0 {
		t.Skip("it needs minutes, and Kafka; make test-kafka")
	}
	brokers := kafka.Three(t)
	for _, test := range []struct {
		name string
		do   func(*cluster)
	}{
		{"Stockflow is killed", (*cluster).crash},
		{"leaders are killed", (*cluster).loseLeaders},
		{"brokers are replaced and paused", (*cluster).rollAndPause},
		{"several instances", (*cluster).shareWork},
		{"all brokers are gone", (*cluster).loseAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := seedOf(t)
			c := &cluster{newShare(newRack(t, n, "", *hands), brokers.Connection()), brokers, newDoor()}
			test.do(c)
			c.finish()
			brokers.Clear()
		})
	}
}

// cluster is a share on a Kafka.
type cluster struct {
	*share
	kafka *kafka.Cluster
	probe *door // where those ask who measure outages
}

// begin starts the first instance.
func (c *cluster) begin() {
	c.open()
	c.probe.open(c.first.HTTP, "first ")
}

// finish lets all come to rest, and has it audited and verified.
func (c *cluster) finish() {
	if c.t.Failed() {
		c.t.Logf("seed %d\n%s", c.seed, c.kafka.LastWords())
		return
	}
	c.close(func() {
		for _, text := range verified(c.t, "--brokers", strings.Join(c.brokers.Brokers, ","), "--url", c.first.HTTP).texts {
			c.t.Error(text)
		}
	})
}

// crash kills the one instance, in all ways there are on brokers of others.
func (c *cluster) crash() {
	c.session = shortestSession
	c.begin()
	c.share.crash(*kills_)
}

// loseLeaders kills the broker that leads a partition of the orders, another partition each time, and starts it again
// when the others have taken over and clients are served.
func (c *cluster) loseLeaders() {
	c.begin()
	o := c.watch()
	for n := range *leaders {
		c.kafka.AwaitInSync()
		leader := c.kafka.Leader(processors.OrderEvents, int32(n)%partitions)
		began := time.Now()
		leader.Kill()
		c.stops++
		next := c.kafka.Leader(processors.OrderEvents, int32(n)%partitions)
		c.t.Logf("leader %2d: broker %d killed, broker %d leads after %s", n+1, leader.ID, next.ID, time.Since(began).Round(time.Millisecond))
		o.settle()
		leader.Start()
		c.kafka.AwaitInSync()
		o.settle()
		c.t.Log(o.tell("a leader killed"))
	}
	o.end()
}

// rollAndPause stops and starts all brokers, one after the other, and then pauses one.
func (c *cluster) rollAndPause() {
	c.begin()
	o := c.watch()
	for _, b := range c.kafka.Brokers {
		c.kafka.AwaitInSync()
		b.Stop()
		b.Start()
		c.stops++
	}
	c.kafka.AwaitInSync()
	o.settle()
	c.t.Log(o.tell("a rolling restart"))

	leader := c.kafka.Leader(processors.OrderEvents, 0)
	leader.Pause()
	c.stops++
	time.Sleep(paused)
	leader.Resume()
	c.kafka.AwaitInSync()
	o.settle()
	c.t.Log(o.tell("a broker paused for " + paused.String()))
	o.end()
}
