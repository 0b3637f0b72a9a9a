package kafkaport

import (
	"log/slog"
	"time"

	"stockflow/broker"
	"stockflow/journal"
	"stockflow/kafkaport/groups"
)

// ClusterID is what the cluster id of every journal begins with. No Kafka has one like it, so that a client can tell the two
// apart.
const ClusterID = broker.JournalCluster

// Config is what a server serves, and to whom.
type Config struct {
	Journal   *journal.Journal
	Log       *slog.Logger // nil: the default
	Writable  []string     // topics that may be produced to
	Groups    []string     // groups of Stockflow itself: their commits may be read, nothing else
	Advertise string       // host and port that clients are told; "": those of the listener
	Limits    Limits
}

// Limits bound what clients can use up. A zero is its default.
type Limits struct {
	Connections  int           // open ones; more are closed at once; 256
	Request      int           // bytes of a request that produces; 16 MiB
	Command      int           // bytes of any other; 1 MiB
	Requests     int64         // bytes of requests that are being read or answered, over all connections; 64 MiB
	Answers      int64         // bytes of records that are being sent, over all connections; 64 MiB
	Fetch        int           // bytes of records in one answer, if one record isn't larger; 8 MiB
	Batch        int           // bytes that a batch may decompress to; 15 MiB
	Records      int           // in a batch; 100,000
	Decompressed int64         // bytes of batches that are being decompressed, over all connections; 64 MiB
	Idle         time.Duration // after which a connection without a request is closed; 10 minutes
	Transfer     time.Duration // that a request or an answer may take on the wire; 30 s
	FetchWait    time.Duration // the longest that a fetch waits for records; 30 s
	Groups       int           // that have commits, Stockflow's own left out; 10,000
	Members      groups.Limits
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.Connections, 256)
	orDefault(&l.Request, 16<<20)
	orDefault(&l.Command, 1<<20)
	orDefault(&l.Requests, 64<<20)
	orDefault(&l.Answers, 64<<20)
	orDefault(&l.Fetch, 8<<20)
	orDefault(&l.Batch, 15<<20)
	orDefault(&l.Records, 100_000)
	orDefault(&l.Decompressed, 64<<20)
	orDefault(&l.Idle, 10*time.Minute)
	orDefault(&l.Transfer, 30*time.Second)
	orDefault(&l.FetchWait, 30*time.Second)
	orDefault(&l.Groups, 10_000)
	// What one request needs has to fit into what all of them share, or it would wait for ever.
	l.Requests = max(l.Requests, int64(l.Request), int64(l.Command))
	l.Answers = max(l.Answers, largestAnswer(l.Fetch))
	l.Decompressed = max(l.Decompressed, decompressedCost(l.Batch, l.Records))
	return l
}

func orDefault[T int | int64 | time.Duration](value *T, to T) {
	if *value == 0 {
		*value = to
	}
}
