package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"stockflow/codecs"
)

// brokers answer what they are told to, one answer after the other, and the last one again and again.
type brokers struct {
	answers []answer
	asked   int
}

type answer struct {
	ends map[source]int64
	err  error
}

func (b *brokers) list(context.Context, ...string) (map[source]int64, error) {
	a := b.answers[min(b.asked, len(b.answers)-1)]
	b.asked++
	return a.ends, a.err
}

// While a partition changes its leader, it can't be said where it ends. That is no reason to end a processor: it is asked
// again, and whoever asks about another partition doesn't wait for it.
func TestEndsWaitForALeader(t *testing.T) {
	here, there := source{"orders", 0}, source{"orders", 1}
	election := fmt.Errorf("asking: %w", kerr.NotLeaderForPartition)
	deleted := fmt.Errorf("asking: %w", kerr.UnknownTopicOrPartition)
	denied := fmt.Errorf("asking: %w", kerr.TopicAuthorizationFailed)
	for _, test := range []struct {
		name    string
		answers []answer
		has     bool
		err     error
		asked   int
	}{
		{"all are answered for", []answer{{map[source]int64{here: 8, there: 2}, nil}}, true, nil, 1},
		{"the log ends before", []answer{{map[source]int64{here: 7, there: 2}, nil}}, false, nil, 1},
		{"another has no leader", []answer{{map[source]int64{here: 8}, election}}, true, nil, 1},
		{"it has no leader", []answer{{map[source]int64{there: 2}, election}, {nil, fmt.Errorf("asking: %w", kerr.OffsetNotAvailable)}, {map[source]int64{here: 8}, nil}}, true, nil, 3},
		{"it ends before, and another had no leader", []answer{{map[source]int64{here: 7}, election}, {map[source]int64{here: 7, there: 2}, nil}}, false, nil, 2},
		{"it isn't there any more", []answer{{nil, deleted}}, false, deleted, 1},
		{"it may not be asked", []answer{{map[source]int64{there: 2}, denied}}, false, denied, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &brokers{answers: test.answers}
			e := &ends{list: b.list, logs: []string{"orders"}, known: map[source]int64{}}
			has, err := e.has(t.Context(), codecs.Origin{Log: "orders", Partition: 0, Offset: 7})
			if has != test.has || !errors.Is(err, test.err) || b.asked != test.asked {
				t.Errorf("has %t, %v, asked %d times; expected %t, %v, %d", has, err, b.asked, test.has, test.err, test.asked)
			}
		})
	}
}

// Nobody waits for a leader who has stopped, and what isn't whole isn't taken for it.
func TestEndsOfWhatIsMissing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &brokers{answers: []answer{{map[source]int64{{"orders", 0}: 8}, kerr.NotLeaderForPartition}}}
	e := &ends{list: b.list, known: map[source]int64{}}
	if found, err := e.fetch(ctx, "orders"); found != nil || !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Errorf("found %v, %v", found, err)
	}
}
