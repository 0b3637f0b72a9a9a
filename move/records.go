package move

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// Difference is a record that is not on Kafka as it is in the journal.
type Difference struct {
	broker.TopicPartition
	Offset int64 // on Kafka, or where it should be there
	What   string
}

// Error names the record.
func (d *Difference) Error() string {
	return fmt.Sprintf("topic %s, partition %d, offset %d: %s; somebody else has written there: delete the topic, and run the move again",
		d.Topic, d.Partition, d.Offset, d.What)
}

// digest is of a set of records, in whatever order: the exclusive or of a hash of each.
type digest [16]byte

func (d *digest) join(o digest) {
	for i := range d {
		d[i] ^= o[i]
	}
}

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// digestOf is of all that a record is, but for its offset.
func digestOf(r *kgo.Record) digest {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 512), uint64(r.Timestamp.UnixMilli()))
	b = appendBytes(appendBytes(b, r.Key), r.Value)
	for _, h := range r.Headers {
		b = appendBytes(appendBytes(b, []byte(h.Key)), h.Value)
	}
	sum := sha256.Sum256(b)
	return digest(sum[:16])
}

// appendBytes tells what is nil from what is empty.
func appendBytes(to, b []byte) []byte {
	if b == nil {
		return append(to, 0)
	}
	return append(binary.AppendUvarint(append(to, 1), uint64(len(b))), b...)
}

// digestAt is of a record and its offset.
func digestAt(r *kgo.Record) digest {
	d := digestOf(r)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(d[:], uint64(r.Offset)))
	return digest(sum[:16])
}

// differs says what of a record is not as it should be, "" if nothing.
func differs(want, got *kgo.Record) string {
	switch {
	case want.Offset != got.Offset:
		return fmt.Sprintf("the record is missing, and the next one is at %d", got.Offset)
	case !same(want.Key, got.Key):
		return fmt.Sprintf("the key is %q, and in the journal %q", got.Key, want.Key)
	case !same(want.Value, got.Value):
		return fmt.Sprintf("the value has %d bytes that are not the %d of the journal", len(got.Value), len(want.Value))
	case want.Timestamp.UnixMilli() != got.Timestamp.UnixMilli():
		return fmt.Sprintf("the time is %d ms, and in the journal %d", got.Timestamp.UnixMilli(), want.Timestamp.UnixMilli())
	case !slices.EqualFunc(want.Headers, got.Headers, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && same(a.Value, b.Value) }):
		return "the headers are not those of the journal"
	}
	return ""
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && string(a) == string(b) }

// errStopped ends a reading whose records nobody wants any more.
var errStopped = errors.New("no more is wanted")

// records are those of a partition of the journal. Each is valid until the next one.
func (p part) records(ctx context.Context, from, to int64) iter.Seq2[*kgo.Record, error] {
	return func(yield func(*kgo.Record, error) bool) {
		err := p.local.Read(ctx, p.Topic, p.Partition, from, to, func(r *kgo.Record) error {
			if !yield(r, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// match holds the records on Kafka, from one offset to before another, against the journal's, and returns their digest. The
// error is a *[Difference] where they part.
func (p part) match(ctx context.Context, from, to int64) (sum digest, err error) {
	next, stop := iter.Pull2(p.records(ctx, from, to))
	defer stop()
	at := from
	err = p.To.Read(ctx, p.Topic, p.Partition, from, to, func(got *kgo.Record) error {
		want, err, more := next()
		switch {
		case err != nil:
			return err
		case !more:
			return &Difference{p.TopicPartition, got.Offset, "the journal has no such record"}
		}
		if what := differs(want, got); what != "" {
			return &Difference{p.TopicPartition, want.Offset, what}
		}
		sum.join(digestAt(got))
		at = got.Offset + 1
		p.done.Add(1)
		return nil
	})
	if err == nil && at != to {
		err = &Difference{p.TopicPartition, at, "the record is missing"}
	}
	return sum, err
}
