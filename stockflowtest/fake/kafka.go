// Package fake is a Kafka in the memory of a test, which fails when it is told to. It is kfake with settings that make
// it behave, to Stockflow, as Kafka does. Only tests import it.
package fake

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kafka is a cluster of one broker, or of as many as its options say. All of its methods may be called at once.
type Kafka struct {
	cluster *kfake.Cluster
	brokers []string
}

// Open starts a cluster that ends with the test. The options are kfake's, and come after those that are set here:
// [kfake.NumBrokers], [kfake.DataDir] for a cluster that is closed and opened again, [kfake.TLS] and others.
func Open(t testing.TB, opts ...kfake.Opt) *Kafka {
	t.Helper()
	k, err := Start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// Start is Open for a process that is nothing but the cluster, which ends with Close.
func Start(opts ...kfake.Opt) (*Kafka, error) {
	cluster, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1),
		kfake.GroupMinSessionTimeout(100 * time.Millisecond), // a test can't wait for Kafka's six seconds
		kfake.BrokerConfigs(keepEverything()),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("start a fake Kafka: %w", err)
	}
	stampProduced(cluster)
	return &Kafka{cluster, cluster.ListenAddrs()}, nil // a cluster that is closed would not say
}

// keepEverything are the settings under which nothing is removed while a test runs, whatever the settings of the topics.
// kfake knows no min.compaction.lag.ms: a table would lose rows that Kafka keeps for a day.
func keepEverything() map[string]string {
	const year = 365 * 24 * time.Hour
	return map[string]string{
		"log.cleaner.backoff.ms":    strconv.FormatInt(year.Milliseconds(), 10),
		"log.retention.ms":          "-1",
		"log.retention.bytes":       "-1",
		"offsets.retention.minutes": strconv.FormatInt(int64(year/time.Minute), 10),
	}
}

// Brokers returns host and port of each broker, as a connection wants them; of a cluster that is closed, those where it was.
func (k *Kafka) Brokers() []string { return k.brokers }

// Cluster returns what makes requests fail, moves leaders and looks inside. A control of Produce that is added to it sees
// batches that have Kafka's time already.
func (k *Kafka) Cluster() *kfake.Cluster { return k.cluster }

// Close ends the cluster before the test ends. Again is allowed.
func (k *Kafka) Close() { k.cluster.Close() }
