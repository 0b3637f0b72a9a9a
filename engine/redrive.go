package engine

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// MostRedriven is how many letters may be sent again between two looks at which of them were. A row remembers the ids of
// the last 100, so what two senders send at once, and what one sent and, by a crash, did not note, is among them.
const MostRedriven = maxRedriven / 2

// Redriver sends dead letters again. Its methods may be called at once.
type Redriver struct {
	writer     broker.Writer
	partitions int32
}

// Redrive is a letter that is to be sent again.
type Redrive struct {
	DeadLetter codecs.DeadLetter
	ID         string // the header redrive: what has the same counts once in a row
	// Repaired is sent in place of the letter's value, if it isn't nil.
	Repaired []byte
}

// NewRedriver returns a redriver for logs with so many partitions.
func NewRedriver(conn broker.Broker, partitions int32) (*Redriver, error) {
	writer, err := conn.Writer()
	if err != nil {
		return nil, err
	}
	return &Redriver{writer, partitions}, nil
}

// Redriver returns a redriver that writes as e does, and ends with e.
func (e *Emitter) Redriver() *Redriver { return &Redriver{e.writer, e.partitions} }

// Send sends a letter to the log it comes from, to the partition of its key, and notes in the dead letters where it is. Its
// errors are those of Emitter.Emit, and ErrUnknown when the letter was sent and not noted: whoever finds it unnoted
// sends it again, with the same id, and it counts once.
func (r *Redriver) Send(ctx context.Context, l Redrive) (Position, error) {
	record := l.record(r.partitions)
	if err := r.writer.Write(ctx, record); err != nil {
		return Position{}, fmt.Errorf("sending %s again: %w", nameOf(l.DeadLetter), err)
	}
	// If the process dies here, the letter is in its log and its note is not.
	at := Position{Partition: record.Partition, Offset: record.Offset}
	if err := r.writer.Write(ctx, l.note(at)); err != nil {
		return at, fmt.Errorf("noting in %s that %s was sent again: %w: %v", DeadLetters, nameOf(l.DeadLetter), ErrUnknown, err) //nolint:errorlint // that the note was not sent doesn't mean that the letter wasn't
	}
	return at, nil
}

// Close ends the connections.
func (r *Redriver) Close() { r.writer.Close() }

// record is the message that l becomes: what was not the message's own, but told where it stood, stays behind.
func (l Redrive) record(partitions int32) *kgo.Record {
	out := &kgo.Record{
		Topic: l.DeadLetter.Topic, Partition: broker.Partition(l.DeadLetter.Key, partitions),
		Key: l.DeadLetter.Key, Value: l.value(),
		Headers: []kgo.RecordHeader{{Key: codecs.HeaderRedrive, Value: []byte(l.ID)}},
	}
	for _, h := range l.DeadLetter.Headers {
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
	case l.DeadLetter.NoValue:
		return nil
	}
	return append([]byte{}, l.DeadLetter.Value...) // never nil: an empty value is not the same as none
}

// note is what says that l was sent again, on the partition that its letter is on.
func (l Redrive) note(at Position) *kgo.Record {
	value := codecs.EncodeDeadLetter(codecs.DeadLetter{
		Topic: l.DeadLetter.Topic, Partition: l.DeadLetter.Partition, Offset: l.DeadLetter.Offset, At: l.DeadLetter.At, Key: l.DeadLetter.Key,
		Redrive: &codecs.Redrive{
			ID: l.ID, Repaired: l.Repaired != nil, Partition: at.Partition, Offset: at.Offset,
		},
	})
	return &kgo.Record{
		Topic: DeadLetters, Partition: at.Partition, Key: l.DeadLetter.Key, Value: value, // all topics have as many partitions
	}
}

func nameOf(l codecs.DeadLetter) string {
	return fmt.Sprintf("%s/%d/%d", l.Topic, l.Partition, l.Offset)
}
