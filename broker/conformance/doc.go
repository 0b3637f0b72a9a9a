// Package conformance holds a broker to what broker.Broker says. The journal, Kafka and a fake Kafka that fails go through
// the same tests. Only tests import it.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// Brokers are two views of one broker: as processors see it, and as all others do. They may be the same.
type Brokers struct {
	Inside, Outside broker.Broker
}

const (
	log        = "conformance-events"
	other      = "conformance-more-events"
	table      = "conformance-table"
	partitions = 3
	// hung is when a test gives up. None waits for so long while anything moves.
	hung = time.Minute
)

var topics = []broker.Topic{{Name: log, Kind: broker.Log}, {Name: other, Kind: broker.Log}, {Name: table, Kind: broker.Table}}

// Run runs the suite. open returns a broker without any of the suite's topics and groups.
func Run(t *testing.T, open func(t *testing.T) Brokers) {
	for name, test := range map[string]func(*testing.T, *bench){
		"topics":                       topicsAreMade,
		"topics that differ":           topicsThatDifferAreTold,
		"records keep what they have":  recordsKeepWhatTheyHave,
		"time never goes back":         timeNeverGoesBack,
		"a range is read":              aRangeIsRead,
		"reading ends":                 readingEnds,
		"a producer keeps the order":   aProducerKeepsTheOrder,
		"a producer ends":              aProducerEnds,
		"a writer tells where":         aWriterTellsWhere,
		"a follower goes on":           aFollowerGoesOn,
		"commits":                      commitsAreKept,
		"a consumer reads a partition": aConsumerReadsAPartition,
		"a group goes on where it was": aGroupGoesOnWhereItWas,
		"a group that is told to end":  aGroupEnds,
		"groups don't know each other": groupsDontKnowEachOther,
		"offsets of topics":            offsetsOfTopics,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bench{T: t, Brokers: open(t)}
			ctx, cancel := context.WithTimeout(t.Context(), hung)
			t.Cleanup(cancel)
			b.ctx = ctx
			test(t, b)
		})
	}
}

// bench is a broker under test.
type bench struct {
	*testing.T
	Brokers
	ctx context.Context
}

// ensure makes the suite's topics.
func (b *bench) ensure() {
	b.Helper()
	n, warnings, err := b.Outside.Ensure(b.ctx, topics, partitions)
	if err != nil || n != partitions || len(warnings) > 0 {
		b.Fatalf("%d partitions, warnings %q, %v", n, warnings, err)
	}
}

// write writes values to a partition, and returns when they are there for good.
func (b *bench) write(topic string, partition int32, values ...string) {
	b.Helper()
	w, err := b.Outside.Writer()
	b.must(err)
	defer w.Close()
	for _, v := range values {
		b.must(w.Write(b.ctx, &kgo.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: []byte(v)}))
	}
}

// read returns the values of a partition from an offset to another.
func (b *bench) read(topic string, partition int32, from, to int64) (values []string) {
	b.Helper()
	b.must(b.Outside.Read(b.ctx, topic, partition, from, to, func(r *kgo.Record) error {
		values = append(values, string(r.Value))
		return nil
	}))
	return values
}

// end is where a partition ends.
func (b *bench) end(topic string, partition int32) int64 {
	b.Helper()
	ends, err := b.Outside.Ends(b.ctx, topic)
	b.must(err)
	return ends[broker.TopicPartition{Topic: topic, Partition: partition}]
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// numbers are the texts of n numbers.
func numbers(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i)
	}
	return all
}

var errEnough = errors.New("enough")
