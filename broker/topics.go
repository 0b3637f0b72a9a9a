package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is a topic that has to exist.
type Topic struct {
	Name string
	Kind Kind
}

// Kind is what a topic is for. It decides the topic's settings.
type Kind int

// The kinds of topics.
const (
	Log     Kind = iota // messages, kept for ever: what all else is made of
	Table               // rows, of which the last one of each key counts
	Letters             // dead letters
)

// String returns the kind as it stands in messages.
func (k Kind) String() string {
	switch k {
	case Log:
		return "log"
	case Table:
		return "table"
	case Letters:
		return "dead letters"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Ensure implements Broker.
func (c Connection) Ensure(ctx context.Context, topics []Topic, partitions int32) (count int32, warnings []string, err error) {
	if partitions < 1 {
		return 0, nil, fmt.Errorf("partitions must be at least 1, not %d", partitions)
	}
	cl, err := c.Client()
	if err != nil {
		return 0, nil, err
	}
	defer cl.Close()
	e := ensuring{client: cl, admin: kadm.NewClient(cl), conn: c, topics: topics}
	return e.run(ctx, partitions)
}

// ensuring is one call of Ensure.
type ensuring struct {
	client *kgo.Client
	admin  *kadm.Client
	conn   Connection
	topics []Topic
	moving bool // those that are made are made for EnsureMoving
}

func (e ensuring) run(ctx context.Context, partitions int32) (int32, []string, error) {
	brokers, err := e.brokers(ctx)
	if err != nil {
		return 0, nil, err
	}
	found, missing, err := e.find(ctx)
	if err != nil {
		return 0, nil, err
	}
	count, err := agreed(e.topics, counts(found), partitions)
	if err != nil {
		return 0, nil, err
	}
	if err := e.create(ctx, missing, count, brokers); err != nil {
		return 0, nil, err
	}
	if found, err = e.await(ctx); err != nil {
		return 0, nil, err
	}
	// Another process may have made the topics meanwhile, with its own number.
	if count, err = agreed(e.topics, counts(found), partitions); err != nil {
		return 0, nil, err
	}
	states, err := e.inspect(ctx, found, leading(e.topics, counts(found), count), brokers)
	if err != nil {
		return 0, nil, err
	}
	warnings, err := summarize(states)
	if count != partitions {
		warnings = append(warnings, otherCount(count, partitions))
	}
	return count, warnings, err
}

func otherCount(count, asked int32) string {
	return fmt.Sprintf("the topics have %d partitions, not the %d asked for: the number can't be changed, as keys would move", count, asked)
}

// counts are how many partitions the topics have that were found.
func counts(found kadm.TopicDetails) map[string]int32 {
	all := make(map[string]int32, len(found))
	for name, d := range found {
		all[name] = int32(len(d.Partitions))
	}
	return all
}

func (e ensuring) brokers(ctx context.Context) (int, error) {
	m, err := e.admin.BrokerMetadata(ctx)
	if err != nil {
		return 0, fmt.Errorf("reach the broker at %v: %w", e.conn.Brokers, err)
	}
	return len(m.Brokers), nil
}

// find returns the topics that exist, and those that don't.
func (e ensuring) find(ctx context.Context) (found kadm.TopicDetails, missing []Topic, err error) {
	found, err = e.admin.ListTopics(ctx, names(e.topics)...)
	if err != nil {
		return nil, nil, fmt.Errorf("list the topics: %w", err)
	}
	for _, t := range e.topics {
		d := found[t.Name]
		switch {
		case errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			delete(found, t.Name)
			missing = append(missing, t)
		case d.Err != nil:
			return nil, nil, fmt.Errorf("look for topic %s: %w", t.Name, d.Err)
		}
	}
	return found, missing, nil
}

// agreed returns the number of partitions that the topics have that exist, or partitions if none does. Keys of logs
// and tables meet only if it is the same everywhere.
func agreed(topics []Topic, found map[string]int32, partitions int32) (int32, error) {
	want := leading(topics, found, partitions)
	for _, t := range topics {
		if n, exists := found[t.Name]; exists && n != want.partitions {
			return 0, fmt.Errorf("topic %s has %d partitions, but %s has %d: all topics must have the same number",
				t.Name, n, want.first, want.partitions)
		}
	}
	return want.partitions, nil
}

// create makes topics. One that another process has made meanwhile is as good.
func (e ensuring) create(ctx context.Context, missing []Topic, count int32, brokers int) error {
	for _, t := range missing {
		settings := make(map[string]*string)
		for _, s := range e.wanted(t.Kind, brokers) {
			settings[s.name] = &s.value
		}
		r, err := e.admin.CreateTopic(ctx, count, replicas(brokers), settings, t.Name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w%s", t.Name, err, because(r.ErrMessage))
		}
	}
	return nil
}

// wanted returns what a topic of a kind is made with; of two values of a setting the last counts.
func (e ensuring) wanted(k Kind, brokers int) []setting {
	settings := settingsOf(k, brokers)
	if e.moving {
		settings = append(settings, whileMoving()...)
	}
	return settings
}

func because(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

// replicas is how often each record is kept: three times where there are enough brokers.
func replicas(brokers int) int16 { return int16(max(1, min(3, brokers))) }

// await returns the topics when all their partitions have a leader and all brokers know them, or an error when ctx ends. A
// broker answers the creation of a topic before that.
func (e ensuring) await(ctx context.Context) (kadm.TopicDetails, error) {
	for {
		found, missing, err := e.find(ctx)
		if err != nil {
			return nil, err
		}
		waiting := e.leaderless(found, missing)
		if waiting == "" {
			if waiting, err = e.notYetPropagated(ctx); err != nil {
				return nil, err
			}
		}
		if waiting == "" {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the topics: %s: %w", waiting, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// leaderless says what is still without a leader, "" if nothing is.
func (e ensuring) leaderless(found kadm.TopicDetails, missing []Topic) string {
	for _, t := range missing {
		return fmt.Sprintf("topic %s isn't there yet", t.Name)
	}
	for _, t := range e.topics {
		for _, p := range found[t.Name].Partitions.Sorted() {
			if p.Err != nil || p.Leader < 0 {
				return fmt.Sprintf("topic %s, partition %d has no leader", t.Name, p.Partition)
			}
		}
	}
	return ""
}

func names(topics []Topic) []string {
	all := make([]string, len(topics))
	for i, t := range topics {
		all[i] = t.Name
	}
	return all
}
