package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// MostRedriven is how many letters may be sent again together. A row remembers the ids of the last 100, so what was
// sent and, by a crash, not noted is among them when it is sent again.
const MostRedriven = maxRedriven / 2

// Redriver sends dead letters again. It is for one goroutine.
type Redriver struct {
	client     *kgo.Client
	partitions int32
}

// Redrive is a letter that is to be sent again.
type Redrive struct {
	Letter codecs.DeadLetter
	ID     string // the header redrive: what has the same counts once in a row
	// Repaired is sent in place of the letter's value, if it isn't nil.
	Repaired []byte
}

// redrivePatience is how long a message that was not sent yet may wait for its log.
const redrivePatience = 30 * time.Second

// NewRedriver returns a redriver for logs with so many partitions.
func NewRedriver(conn broker.Connection, partitions int32) (*Redriver, error) {
	client, err := conn.Client(append(producerOptions(broker.LargestMessage),
		kgo.ProducerBatchMaxBytes(broker.LargestMessage), kgo.RecordDeliveryTimeout(redrivePatience))...)
	if err != nil {
		return nil, err
	}
	return &Redriver{client, partitions}, nil
}

// Send sends letters to the logs they come from, in their order, to the partitions of their keys, and notes in the
// dead letters what the logs have acknowledged. sent says of each whether it was. A letter that is sent and not noted, by a
// crash in between, is sent again by whoever finds it unnoted: it has the same id then, and counts once.
func (r *Redriver) Send(ctx context.Context, letters []Redrive) (sent []bool, err error) {
	records := make([]*kgo.Record, len(letters))
	for i, l := range letters {
		records[i] = l.record(r.partitions)
	}
	sent = make([]bool, len(letters))
	var errs []error
	var notes []*kgo.Record
	for _, result := range r.client.ProduceSync(ctx, records...) {
		i := slices.Index(records, result.Record) // the results come in the order of the answers
		if result.Err != nil {
			errs = append(errs, fmt.Errorf("sending %s again: %w", nameOf(letters[i].Letter), result.Err))
			continue
		}
		sent[i] = true
		notes = append(notes, letters[i].note(result.Record))
	}
	if err := r.client.ProduceSync(ctx, notes...).FirstErr(); err != nil {
		errs = append(errs, fmt.Errorf("noting in %s what was sent again: %w", Letters, err))
	}
	return sent, errors.Join(errs...)
}

// Close ends the connections.
func (r *Redriver) Close() { r.client.Close() }

// record is the message that l becomes: what was not the message's own, but told where it stood, stays behind.
func (l Redrive) record(partitions int32) *kgo.Record {
	out := &kgo.Record{
		Topic: l.Letter.Topic, Partition: broker.Partition(l.Letter.Key, partitions),
		Key: l.Letter.Key, Value: l.value(),
		Headers: []kgo.RecordHeader{{Key: codecs.HeaderRedrive, Value: []byte(l.ID)}},
	}
	for _, h := range l.Letter.Headers {
		switch h.Key {
		case codecs.HeaderOrigin, codecs.HeaderRedrive:
			continue
		case codecs.HeaderID: // as an event of its own, it has an id of its own
			h.Value = []byte(l.ID)
		case codecs.HeaderContentType:
			if l.Repaired != nil { // and may be JSON now
				continue
			}
		}
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

func (l Redrive) value() []byte {
	switch {
	case l.Repaired != nil:
		return l.Repaired
	case l.Letter.NoValue:
		return nil
	}
	return append([]byte{}, l.Letter.Value...) // never nil: an empty value is not the same as none
}

// note is what says that l was sent again, on the partition that its letter is on.
func (l Redrive) note(at *kgo.Record) *kgo.Record {
	value := codecs.EncodeDeadLetter(codecs.DeadLetter{
		Topic: l.Letter.Topic, Partition: l.Letter.Partition, Offset: l.Letter.Offset, At: l.Letter.At, Key: l.Letter.Key,
		Redrive: &codecs.Redrive{
			ID: l.ID, Repaired: l.Repaired != nil, Partition: at.Partition, Offset: at.Offset,
		},
	})
	return &kgo.Record{
		Topic: Letters, Partition: at.Partition, Key: l.Letter.Key, Value: value, // all topics have as many partitions
	}
}

func nameOf(l codecs.DeadLetter) string {
	return fmt.Sprintf("%s/%d/%d", l.Topic, l.Partition, l.Offset)
}
