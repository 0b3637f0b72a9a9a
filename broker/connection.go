package broker

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Connection is how to reach a broker. The zero value of what may be left out is the default.
type Connection struct {
	Brokers  []string      // host and port of one or more; the others are learned from them
	Embedded bool          // the broker is Stockflow's own, which wants other settings for its topics
	Session  time.Duration // how long a member of a consumer group may be silent; 10 s if left out
	Security Security      // of brokers that ask for it
	files    string        // where the embedded broker has its log, if Read may look there; "" if not
	outline  bool          // the broker has no more than an outline of it
}

// On returns the connection to the embedded broker of a data directory on this machine: what is read of its logs from their
// start to an end need not be sent by it. See Read for what that means for those who read.
func (c Connection) On(dir string) Connection {
	c.files = filepath.Join(dir, "broker")
	return c
}

const (
	clientName = "stockflow"
	// embeddedCluster is the cluster id by which other processes know an embedded broker.
	embeddedCluster = "stockflow-embedded"

	// LargestMessage is the size of a record that logs and tables take, with its key and headers.
	LargestMessage = 4 << 20
	// LargestLetter is the same for dead letters, which carry a message with all that came with it.
	LargestLetter = 8 << 20
)

// Client returns a client of its own, to be closed by the caller. It partitions as [Partition] does, waits for all
// replicas, and reads only what is committed; opts come after that and may change it. It doesn't ask whether the
// broker is there.
func (c Connection) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(append(c.options(), c.Security.options()...), opts...)...)
}

// options are those of all our clients, but for the security.
func (c Connection) options() []kgo.Opt {
	all := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(clientName),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ProducerBatchMaxBytes(LargestMessage),
		kgo.MetadataMinAge(100 * time.Millisecond), // a leader that has moved is found at once
	}
	if c.Embedded { // the bytes go through this machine's memory, where compressing costs more than it saves
		all = append(all, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	return all
}

// Recognize asks the brokers whether they are another process's embedded broker, and returns the connection with
// Embedded set if so: its topics have other settings than Kafka's.
func (c Connection) Recognize(ctx context.Context) (Connection, error) {
	cl, err := c.Client()
	if err != nil {
		return c, err
	}
	defer cl.Close()
	meta, err := kadm.NewClient(cl).BrokerMetadata(ctx)
	if err != nil {
		return c, fmt.Errorf("the brokers %v can't be reached: %w", c.Brokers, c.Explain(err))
	}
	c.Embedded = meta.Cluster == embeddedCluster
	return c, nil
}

// Sarama returns the settings of the clients that goka makes. Each call returns one of its own.
func (c Connection) Sarama(clientID string) *sarama.Config {
	s := sarama.NewConfig()
	s.ClientID = clientID
	s.Version = sarama.V2_8_0_0 // the protocol's versions of 2.8 are spoken by 3.9 and by 4.x
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.Retry.Backoff = 100 * time.Millisecond
	s.Metadata.Retry.Max = 10
	s.Net.DialTimeout = 5 * time.Second
	c.consuming(s)
	c.grouping(s)
	c.Security.configure(s)

	// goka's own emitters are replaced by the engine's; what is sent by another way must be as safe.
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.MaxMessageBytes = LargestMessage
	s.Producer.Return.Successes = true
	return s
}

// consuming sets how partitions are read. A fetch waits at the broker for MaxWaitTime, and all that goes through the same
// connection waits behind it: a partition that joins, a commit, a heartbeat. A message ends the wait at once.
func (Connection) consuming(s *sarama.Config) {
	s.Consumer.IsolationLevel = sarama.ReadCommitted
	s.Consumer.MaxWaitTime = 100 * time.Millisecond
	s.Consumer.Fetch.Min = 1
	s.Consumer.Fetch.Default = 1 << 20
	s.Consumer.Retry.Backoff = 250 * time.Millisecond
	s.Consumer.Return.Errors = true
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	s.ChannelBufferSize = 256
}

// grouping sets how groups are shared out. An offset that the log doesn't have is an error: the log was cut.
func (c Connection) grouping(s *sarama.Config) {
	session := c.Session
	if session == 0 {
		session = defaultSession()
	}
	s.Consumer.Group.ResetInvalidOffsets = false
	s.Consumer.Group.Session.Timeout = session
	s.Consumer.Group.Heartbeat.Interval = min(session/4, 3*time.Second)
	s.Consumer.Group.Rebalance.Timeout = 2 * session
	s.Consumer.Group.Rebalance.Retry.Backoff = 250 * time.Millisecond
}
