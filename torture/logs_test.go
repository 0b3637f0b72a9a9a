package torture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/processors"
)

// partitions of every log and table here.
const partitions = 8

// source is a partition of a log.
type source struct {
	log       string
	partition int32
}

// tableLogs are the logs that the tables are made from.
var tableLogs = map[string]string{
	processors.OrderTable: processors.OrderEvents, processors.InventoryTable: processors.InventoryEvents,
	processors.ShipmentTable: processors.ShipmentEvents, processors.NotificationTable: processors.NotificationEvents,
}

// topics are all that a Stockflow has.
func topics() []string {
	all := []string{engine.DeadLetters}
	for table, log := range tableLogs {
		all = append(all, table, log)
	}
	return all
}

// logs open what there is to be read at a moment.
type logs func(context.Context) (*reading, error)

// reading is what the logs and tables have up to some ends.
type reading struct {
	broker.Broker
	ends  map[broker.TopicPartition]int64 // of the topics there are
	close func() error
}

// read reads a broker up to where its topics end now.
func read(ctx context.Context, b broker.Broker, closeAll func() error) (*reading, error) {
	there, err := b.Topics(ctx, topics()...)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	var names []string
	for name := range there {
		names = append(names, name)
	}
	ends, err := b.Ends(ctx, names...)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	return &reading{b, ends, closeAll}, nil
}

// left are the logs in the journal of a process that has ended. Its files are all that there is between it and who reads.
func left(data string) logs {
	return func(ctx context.Context) (*reading, error) { return readJournal(ctx, data, -1) }
}

// durable are those of one that runs, read beside it, up to what it says is on the disk.
func durable(data, url string) logs {
	return func(ctx context.Context) (*reading, error) {
		var system struct {
			Journal struct{ Durable journal.Position }
		}
		if err := fetch(ctx, url+"/v1/system", &system); err != nil {
			return nil, err
		}
		return readJournal(ctx, data, system.Journal.Durable)
	}
}

// readJournal reads a journal up to a position. One that hasn't come to be has nothing.
func readJournal(ctx context.Context, data string, upTo journal.Position) (*reading, error) {
	j, err := journal.OpenReading(filepath.Join(data, "journal"), upTo, journal.Options{})
	if errors.Is(err, fs.ErrNotExist) && upTo < 0 {
		return &reading{close: func() error { return nil }}, nil
	}
	if err != nil {
		return nil, err
	}
	return read(ctx, broker.NewLocal(j), j.Close)
}

// atBrokers are the logs that brokers have.
func atBrokers(conn broker.Connection) logs {
	return func(ctx context.Context) (*reading, error) {
		kept, end, err := conn.Keep()
		if err != nil {
			return nil, err
		}
		return read(ctx, kept, func() error { end(); return nil })
	}
}

// reader reads a partition: each time what it has not read before.
type reader struct {
	topic     string
	partition int32
	next      int64 // offset
}

// readers return a reader of each partition of topics.
func readers(topics ...string) (all []*reader) {
	for _, topic := range topics {
		for p := range int32(partitions) {
			all = append(all, &reader{topic: topic, partition: p})
		}
	}
	return all
}

// read calls each with the records that it has not read before. A log has every offset.
func (r *reader) read(ctx context.Context, from *reading, each func(*kgo.Record) error) error {
	end := from.ends[broker.TopicPartition{Topic: r.topic, Partition: r.partition}]
	if end < r.next {
		return fmt.Errorf("%s/%d ends at %d, and had offset %d before", r.topic, r.partition, end, r.next-1)
	}
	if end == r.next {
		return nil
	}
	dense := slices.Contains(processors.Logs, r.topic)
	return from.Read(ctx, r.topic, r.partition, r.next, end, func(record *kgo.Record) error {
		if dense && record.Offset != r.next {
			return fmt.Errorf("%s/%d: offset %d follows %d", r.topic, r.partition, record.Offset, r.next-1)
		}
		r.next = record.Offset + 1
		return each(record)
	})
}
