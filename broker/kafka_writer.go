package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// writePatience is how long Write waits for the acknowledgement.
const writePatience = 4 * time.Second

var (
	// ErrUnknown says that a record was sent and not acknowledged in time: the log may have it, or get it yet.
	ErrUnknown = errors.New("the log has not acknowledged the message")
	// ErrUnreachable says that a record was not sent.
	ErrUnreachable = errors.New("the log can't be reached")
)

// kafkaWriter is a Writer on franz-go.
//
// Its client goes on where a producer's stops for good: after an answer that a record doesn't follow on those before, as after the
// loss of some. The client numbers anew and sends the record again, which a partition that had it would have acknowledged as a repeat.
type kafkaWriter struct {
	conn   Connection
	client *kgo.Client
	reach  brokerHealth
	uptake *writeHealth
}

// Writer implements Broker. What it writes is refused at once while it is known that no broker answers or that the record's
// partition takes nothing.
func (c Connection) Writer() (Writer, error) {
	client, err := c.Client(sendingOptions(LargestMessage)...)
	if err != nil {
		return nil, err
	}
	w := &kafkaWriter{conn: c, client: client, uptake: newWriteHealth()}
	w.reach.open(w.answers)
	return w, nil
}

func (w *kafkaWriter) Write(ctx context.Context, r *kgo.Record) error {
	to := TopicPartition{r.Topic, r.Partition}
	if err := w.enter(to); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	result := make(chan error, 1)
	// A record whose batch may have left is not taken back, whatever becomes of the caller: a context of the
	// caller's would fail its neighbours in the buffer.
	w.client.TryProduce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
		if err == nil {
			err = w.uptake.landed(to, r.Offset)
		}
		w.uptake.leave(to, err, time.Now()) // first, so that whoever is answered finds it so
		result <- err
	})
	patience := time.NewTimer(writePatience)
	defer patience.Stop()
	select {
	case err := <-result:
		return outcome(err)
	case <-patience.C:
		w.reach.doubt()
	case <-ctx.Done():
	}
	return fmt.Errorf("%w: %s within %s", ErrUnknown, r.Topic, writePatience)
}

// enter counts a record that is about to be sent to p. If it returns an error, none is sent, and none is counted.
func (w *kafkaWriter) enter(p TopicPartition) error {
	if err := w.reach.lost(); err != nil {
		return err
	}
	return w.uptake.enter(p, time.Now())
}

func outcome(err error) error {
	switch {
	case err == nil:
		return nil
	case notSent(err):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

func (w *kafkaWriter) Waiting() []string {
	if err := w.answers(); err != nil {
		return []string{fmt.Sprintf("the broker can't be reached: %v", err)}
	}
	return w.uptake.waiting(time.Now())
}

func (w *kafkaWriter) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), writePatience)
	defer cancel()
	w.reach.close()
	_ = w.client.Flush(ctx) // what could not be flushed was answered as unknown
	w.client.Close()
}
