package broker

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Broker is what the program sees of where its logs and tables lie. There are two: [Connection] is Kafka, and [Local] is
// the journal of this process. A suite of tests holds both to what stands here. All methods may be called at once.
type Broker interface {
	// Keep returns the same broker, whose questions go through one client until close is called: for who asks often.
	Keep() (kept Broker, close func(), err error)
	// Sync returns when everything that was acknowledged is on the disk. Kafka's acknowledgement says so by itself.
	Sync(ctx context.Context) error

	// Topics returns what is known of topics, by name. Those that don't exist are not among them.
	Topics(ctx context.Context, names ...string) (map[string]TopicDetail, error)
	// Starts returns the first offset of each partition of topics, and Ends the one after the last record that may be
	// read. What was found is returned with an error too: brokers that share the partitions may answer in part. A topic that
	// doesn't exist is an error.
	Starts(ctx context.Context, topics ...string) (map[TopicPartition]int64, error)
	Ends(ctx context.Context, topics ...string) (map[TopicPartition]int64, error)

	// Read calls each with the records of a partition from offset from on and before offset to, in order, and returns
	// when it has seen the last of them, or at each's first error. A record is each's until it returns; its bytes may be kept.
	// Offsets may have gaps. In place of a batch that can't be read comes one record, see [UnreadableOf]. It is an error when
	// nobody answers any more.
	Read(ctx context.Context, topic string, partition int32, from, to int64, each func(*kgo.Record) error) error
	// Follow returns a follower of partitions, from the offsets on that are given by topic and partition.
	Follow(from map[string]map[int32]int64) (Follower, error)

	// Producer returns a producer of records of up to largest bytes.
	Producer(largest int) (Producer, error)
	// Writer returns a writer, for messages from outside.
	Writer() (Writer, error)

	// Committed returns what a group has committed: the offset of the next message, by partition. A group that never was
	// has committed nothing.
	Committed(ctx context.Context, group string) (map[TopicPartition]int64, error)
	// Commit sets what a group without members has committed.
	Commit(ctx context.Context, group string, offsets map[TopicPartition]int64) error
	// Lag returns how many records of a log a group has yet to commit, by partition. It counts those of transactions, too: what
	// they have written and nobody may read yet, and the marks of their ends, which nobody reads.
	Lag(ctx context.Context, group, log string) (map[TopicPartition]int64, error)
	// Members returns who is in a group, a name for each.
	Members(ctx context.Context, group string) ([]string, error)
	// Owners returns who holds the partitions of a log in a group. Those that nobody holds are not among them.
	Owners(ctx context.Context, group, log string) (map[TopicPartition]Owner, error)

	// Ensure makes the topics that are missing and returns the number of partitions, which is the same for all of them,
	// when every partition can be used. Topics that exist are left as they are: they decide the number, and partitions is
	// only for when none exists. The error names topic and setting if a topic that exists would lose or mix up what is
	// written to it. What only differs from what Ensure would have made is returned in warnings. It may be called from
	// several processes at once, and again after it failed half way.
	Ensure(ctx context.Context, topics []Topic, partitions int32) (count int32, warnings []string, err error)
	// Inspect returns what the topics are and should be, in the order in which they were given, and changes nothing. What
	// is Refused in it is what Ensure returns an error for. partitions is how many they should have if none exists.
	Inspect(ctx context.Context, topics []Topic, partitions int32) ([]State, error)

	Seats
}

// Seats are the clients that goka asks for, in the types of sarama. Each has one owner, who closes it. A member of a group that
// is closed may come back, and has what it had; see [Seats.Leave].
type Seats interface {
	Consumer(client string) (sarama.Consumer, error)
	// ConsumerGroup returns a member of a group. Partitions are shared out so that a member has the same ones of all topics.
	ConsumerGroup(client, group string) (sarama.ConsumerGroup, error)
	TopicOffsets(client string) (TopicOffsets, error)
	// Unreadable returns the batch in whose place a group has got a message without key and value, nil if the message is what
	// somebody wrote. It knows those of the groups that it has made.
	Unreadable(at TopicPartition, offset int64) *Unreadable
	// Leave takes this process out of a group, so that nobody waits for it to come back. It is for a stop that is meant.
	Leave(ctx context.Context, group string) error
}

// TopicOffsets is what goka calls a topic manager. It makes no topics: [Broker.Ensure] has done that.
type TopicOffsets interface {
	Partitions(topic string) ([]int32, error)
	// GetOffset returns where a partition begins or ends: at is sarama.OffsetOldest or sarama.OffsetNewest.
	GetOffset(topic string, partition int32, at int64) (int64, error)
	EnsureTableExists(topic string, partitions int) error
	EnsureStreamExists(topic string, partitions int) error
	EnsureTopicExists(topic string, partitions, replicas int, config map[string]string) error
	Close() error
}

// TopicPartition is a partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (p TopicPartition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// TopicDetail is what is known of a topic that exists.
type TopicDetail struct {
	ID         string // a topic that was deleted and made again has another one
	Partitions int32
}

// Follower reads partitions as records come. It is for one goroutine.
type Follower interface {
	// Poll waits for records, and returns some of what there is, those of a partition in order. The error is that of ctx
	// when it ends, or says what can't be read, but for batches in whose place there is a record, see [UnreadableOf].
	Poll(ctx context.Context) ([]Batch, error)
	Close()
}

// Batch is records of a partition that follow each other. There is at least one.
type Batch struct {
	TopicPartition
	Records []*kgo.Record
}

// Producer appends records. What is produced to a partition arrives there in this order and without a hole, until the first
// error: from then on it takes nothing. Produce may block, but for those who call it from a promise, whom it would freeze
// for ever. Once ctx has ended nothing that waited is taken. A promise is kept when the record is acknowledged, which sets
// its offset; it may be called before Produce returns. Safe for concurrent use.
type Producer interface {
	Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error))
	// Flush waits until every promise was kept and what was acknowledged is on the disk.
	Flush(ctx context.Context) error
	Close()
}

// Writer writes messages of people who don't know of each other, so that none needs the one before it: it goes on after an
// error. Safe for concurrent use.
type Writer interface {
	// Write returns when the record is on the disk, or on all replicas; r has its partition and offset then. Its errors are
	// ErrUnknown, also when ctx ends before, and ErrUnreachable.
	Write(ctx context.Context, r *kgo.Record) error
	// Waiting says what keeps records from being written, one line each. It takes at most a second.
	Waiting() []string
	// Close waits for a moment for what is under way.
	Close()
}
