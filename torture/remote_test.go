package torture

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/stand"
)

// remote reads a partition from brokers of others, whose files are not ours to read.
type remote struct {
	conn      broker.Connection
	admin     *kadm.Client
	topic     string
	partition int32
	next      int64 // offset
}

// logsOf are the logs that brokers have.
func logsOf(conn broker.Connection, admin *kadm.Client) shelf {
	return func(topic string, partition int32) reader {
		return &remote{conn: conn, admin: admin, topic: topic, partition: partition}
	}
}

func (r *remote) read(each func(*kgo.Record) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), stand.Generous)
	defer cancel()
	ends, err := r.admin.ListEndOffsets(ctx, r.topic)
	if err != nil {
		return err
	}
	end, _ := ends.Lookup(r.topic, r.partition)
	if end.Err != nil || r.next >= end.Offset {
		return end.Err
	}
	return broker.Read(ctx, r.conn, r.topic, r.partition, r.next, end.Offset, func(record *kgo.Record) error {
		r.next = record.Offset + 1
		return each(record)
	})
}
