package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/journal"
)

// Topic is where a Kafka has it that a journal was moved to it: one partition, whose last record counts.
const Topic = "stockflow-move"

// topic is kept for ever, and has the broker's time.
var topic = broker.Topic{Name: Topic, Kind: broker.Log}

// State is what a Kafka has of a move.
type State struct {
	Finished     bool             `json:"finished"`
	Journal      string           `json:"journal"` // its id
	Deployment   string           `json:"deployment"`
	DeploymentID []byte           `json:"realm"`    // that tokens of before are sealed with
	Position     journal.Position `json:"position"` // of the journal, up to which it was copied
	From         string           `json:"from"`     // the data directory, for people
	At           time.Time        `json:"-"`        // by the broker's clock
}

// Find returns the state of the move to a Kafka, and whether there ever was one.
func Find(ctx context.Context, conn broker.Connection) (s State, found bool, err error) {
	topics, err := conn.Topics(ctx, Topic)
	if err != nil || topics[Topic].Partitions == 0 {
		return s, false, err
	}
	ends, err := conn.Ends(ctx, Topic)
	if err != nil {
		return s, false, err
	}
	err = conn.Read(ctx, Topic, 0, 0, ends[broker.TopicPartition{Topic: Topic}], func(r *kgo.Record) error {
		s = State{}
		if err := json.Unmarshal(r.Value, &s); err != nil {
			return fmt.Errorf("%s/0: offset %d: %w", Topic, r.Offset, err)
		}
		s.At, found = r.Timestamp, true
		return nil
	})
	return s, found, err
}

// Unfinished is the error of who wants to use a Kafka to which a move has begun.
type Unfinished struct{ State }

// Error names the journal, and says what is to be done.
func (u *Unfinished) Error() string {
	return fmt.Sprintf("a move to these brokers isn't finished, of the journal in %s (deployment %s), begun at %s: run stockflow move again, from there",
		u.From, u.Deployment, u.At.UTC().Format(time.RFC3339))
}

// Check returns the move that was finished to a Kafka, if there was one, and an [*Unfinished] if one is under way.
func Check(ctx context.Context, conn broker.Connection) (s State, moved bool, err error) {
	s, moved, err = Find(ctx, conn)
	if err == nil && moved && !s.Finished {
		err = &Unfinished{s}
	}
	return s, moved, err
}

// note writes a state down, and returns it with the broker's time.
func (s State) note(ctx context.Context, conn broker.Connection) (State, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	producer, err := conn.Producer(broker.LargestMessage)
	if err != nil {
		return s, err
	}
	defer producer.Close()
	var failed firstError
	producer.Produce(ctx, &kgo.Record{Topic: Topic, Value: text}, func(_ *kgo.Record, err error) { failed.set(err) })
	if err := errors.Join(producer.Flush(ctx), failed.get()); err != nil {
		return s, fmt.Errorf("write to %s: %w", Topic, err)
	}
	noted, _, err := Find(ctx, conn)
	return noted, err
}
