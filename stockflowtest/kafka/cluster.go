package kafka

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/stockflowtest"
)

// settings are those of a broker of the cluster of three.
//
//go:embed server.properties
var settings string

// Who each process is, and where.
const (
	kraft = `node.id=%d
process.roles=broker,controller
listeners=PLAINTEXT://%[2]s,CONTROLLER://%[3]s
advertised.listeners=PLAINTEXT://%[2]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.voters=%[4]s
log.dirs=%[5]s
`
	withZooKeeper = `broker.id=%d
listeners=PLAINTEXT://%s
zookeeper.connect=%s
log.dirs=%s
`
	zoo = `clientPortAddress=127.0.0.1
clientPort=%s
dataDir=%s
admin.enableServer=false
maxClientCnxns=0
`
)

// clusterID is any: there is one cluster in a test.
const clusterID = "c3RvY2tmbG93LXRlc3RzMQ"

// Cluster is a Kafka whose brokers can be killed, stopped and started one by one. Its methods are for one goroutine.
type Cluster struct {
	Brokers []*Node
	t       testing.TB
	admin   *kadm.Client
}

// Three starts three brokers of the Kafka of today, each of which is a controller too, and waits until they answer.
func Three(t testing.TB) *Cluster {
	t.Helper()
	const n = 3
	jars := classpath(t, "kraft")
	dir := t.TempDir()
	clients, controllers := ports(t, n), ports(t, n)
	var voters []string
	for i, address := range controllers {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, address))
	}
	c := &Cluster{t: t}
	var formatted sync.WaitGroup
	for i := range n {
		b := &Node{ID: int32(i + 1), Address: clients[i], t: t, jars: jars, dir: filepath.Join(dir, fmt.Sprint(i+1))}
		b.configure("server.properties", settings+fmt.Sprintf(kraft, b.ID, clients[i], controllers[i], strings.Join(voters, ","), b.file("log")))
		b.main = []string{"kafka.Kafka", b.file("server.properties")}
		c.Brokers = append(c.Brokers, b)
		formatted.Go(func() {
			b.run("kafka.tools.StorageTool", "format", "-t", clusterID, "-c", b.file("server.properties"))
		})
	}
	formatted.Wait()
	c.open(n)
	return c
}

// WithZooKeeper starts one broker of the last Kafka that keeps its metadata in ZooKeeper, and ZooKeeper.
func WithZooKeeper(t testing.TB) *Cluster {
	t.Helper()
	jars := classpath(t, "zookeeper")
	dir := t.TempDir()
	addresses := ports(t, 2)
	_, port, _ := strings.Cut(addresses[1], ":")
	keeper := &Node{Address: addresses[1], t: t, jars: jars, dir: filepath.Join(dir, "zookeeper")}
	keeper.configure("zoo.cfg", fmt.Sprintf(zoo, port, keeper.file("data")))
	keeper.main = []string{"org.apache.zookeeper.server.quorum.QuorumPeerMain", keeper.file("zoo.cfg")}
	keeper.Start()
	b := &Node{ID: 1, Address: addresses[0], t: t, jars: jars, dir: filepath.Join(dir, "1")}
	b.configure("server.properties", alone(settings)+fmt.Sprintf(withZooKeeper, b.ID, b.Address, keeper.Address, b.file("log")))
	b.main = []string{"kafka.Kafka", b.file("server.properties")}
	c := &Cluster{t: t, Brokers: []*Node{b}}
	c.open(1)
	return c
}

// alone are settings for a broker that has nobody to replicate to.
func alone(settings string) string {
	var kept []string
	for line := range strings.Lines(settings) {
		name, value, _ := strings.Cut(line, "=")
		switch {
		case strings.HasSuffix(name, "replication.factor"), strings.HasSuffix(name, "min.isr"), name == "min.insync.replicas":
			value = "1\n"
			fallthrough
		case value != "":
			kept = append(kept, name+"="+value)
		}
	}
	return strings.Join(kept, "")
}

func (c *Cluster) open(n int) {
	c.t.Helper()
	for _, b := range c.Brokers {
		b.Start()
	}
	client, err := c.Connection().Client()
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	c.admin = kadm.NewClient(client)
	c.await(fmt.Sprintf("%d brokers", n), func(ctx context.Context) error {
		ask := kmsg.NewPtrMetadataRequest() // the admin would answer with the brokers that it has heard of
		ask.Topics = []kmsg.MetadataRequestTopic{}
		m, err := ask.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		return none(n-len(m.Brokers), "brokers missing")
	})
}

// Addresses are where the brokers are, as --brokers takes it.
func (c *Cluster) Addresses() string { return strings.Join(c.Connection().Brokers, ",") }

// Connection is how to reach the brokers.
func (c *Cluster) Connection() (conn broker.Connection) {
	for _, b := range c.Brokers {
		conn.Brokers = append(conn.Brokers, b.Address)
	}
	return conn
}

// Leader is the broker that leads a partition at the moment.
func (c *Cluster) Leader(topic string, partition int32) (leader *Node) {
	c.t.Helper()
	c.await("a leader of "+topic, func(ctx context.Context) error {
		topics, err := c.admin.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		for _, b := range c.Brokers {
			if b.ID == topics[topic].Partitions[partition].Leader && b.Alive() {
				leader = b
			}
		}
		if leader == nil {
			return errors.New("nobody leads")
		}
		return nil
	})
	return leader
}

// AwaitInSync waits until every replica of every partition is in sync: until then there may be nobody to take over.
func (c *Cluster) AwaitInSync() {
	c.t.Helper()
	c.await("all replicas in sync", func(ctx context.Context) error {
		topics, err := c.admin.ListTopicsWithInternal(ctx)
		if err := errors.Join(err, topics.Error()); err != nil {
			return err
		}
		missing := 0
		topics.EachPartition(func(p kadm.PartitionDetail) {
			missing += len(p.Replicas) - len(p.ISR)
		})
		return none(missing, "replicas out of sync")
	})
}

// Clear deletes all topics and groups, so that the next test begins with nothing. Nobody may use them.
func (c *Cluster) Clear() {
	c.t.Helper()
	c.await("groups that are gone", func(ctx context.Context) error {
		groups, err := c.admin.ListGroups(ctx)
		if err != nil || len(groups) == 0 {
			return err
		}
		gone, err := c.admin.DeleteGroups(ctx, groups.Groups()...)
		return errors.Join(err, gone.Error(), none(len(groups)-len(gone), "groups left")) // a member that was killed is one until the end of its session
	})
	c.await("topics that are gone", func(ctx context.Context) error {
		topics, err := c.admin.ListTopics(ctx)
		if err != nil || len(topics) == 0 {
			return err
		}
		_, err = c.admin.DeleteTopics(ctx, topics.Names()...)
		return errors.Join(err, none(len(topics), "topics left")) // whether they are gone is seen the next time
	})
}

// none is an error unless n is 0.
func none(n int, what string) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d %s", n, what)
}

// await waits until something is so. Each look has its own patience: one that hangs is no reason not to look again.
func (c *Cluster) await(what string, is func(context.Context) error) {
	c.t.Helper()
	const patience = 5 * time.Second
	deadline := time.NewTimer(stockflowtest.Generous)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		err := is(ctx)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			c.t.Fatalf("there never were %s: %v\n%s", what, err, c.LastWords())
		case <-tick.C:
		}
	}
}

// LastWords are the last lines that each broker wrote.
func (c *Cluster) LastWords() string {
	var text strings.Builder
	for _, b := range c.Brokers {
		fmt.Fprintf(&text, "broker %d:\n%s\n", b.ID, b.LastWords())
	}
	return text.String()
}
