package broker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Connection is how to reach a broker. The zero value of what may be left out is the default.
type Connection struct {
	Brokers  []string      // host and port of one or more; the others are learned from them
	Session  time.Duration // how long a member of a consumer group may be silent; 10 s if left out
	Instance string        // by which groups know this process, see [Instance]; without it they forget a member that is closed
	Security Security      // of brokers that ask for it
	kept     *shared       // by all that is done with it; nil if each use has clients of its own
}

const (
	clientName = "stockflow"
	// JournalCluster is what the cluster id begins with that a journal's Kafka port tells.
	JournalCluster = "stockflow-journal"

	// LargestMessage is the size of a record that logs and tables take, with its key and headers.
	LargestMessage = 4 << 20
	// LargestDeadLetter is the same for dead letters, which carry a message with all that came with it.
	LargestDeadLetter = 8 << 20
)

// Client returns a client of its own, to be closed by the caller. It partitions as [Partition] does, waits for all
// replicas, reads only what is committed, and decompresses within bounds; opts come after that and may change it. It
// doesn't ask whether the broker is there.
func (c Connection) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(slices.Concat(c.options(), c.Security.options(), opts)...)
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
	return append(all, bounds()...)
}

// Cluster asks the brokers for the id of their cluster.
func (c Connection) Cluster(ctx context.Context) (string, error) {
	var id string
	err := c.asking(ctx, func(ctx context.Context, admin *kadm.Client) error {
		meta, err := admin.BrokerMetadata(ctx)
		id = meta.Cluster
		return err
	})
	if err != nil {
		return "", fmt.Errorf("the brokers %v can't be reached: %w", c.Brokers, c.Explain(err))
	}
	return id, nil
}
