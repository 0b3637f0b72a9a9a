package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
)

// ends knows how far logs reach. What it knows only grows, as logs do, so it asks the broker only when a position
// lies beyond what it knows. Safe for concurrent use.
type ends struct {
	list func(ctx context.Context, topics ...string) (map[source]int64, error) // asks the broker
	logs []string                                                              // those asked for together

	mu    sync.Mutex
	known map[source]int64
}

func newEnds(admin *kadm.Client, logs []string) *ends {
	list := func(ctx context.Context, topics ...string) (map[source]int64, error) {
		return listEnds(ctx, admin, topics)
	}
	return &ends{list: list, logs: logs, known: map[source]int64{}}
}

// has reports whether the log of an origin reaches beyond it.
func (e *ends) has(ctx context.Context, o codecs.Origin) (bool, error) {
	s := source{o.Log, o.Partition}
	reaches := func() bool { return e.reaches(s, o.Offset) }
	if reaches() {
		return true, nil
	}
	_, err := e.ask(ctx, e.logs, reaches)
	if reaches() {
		return true, nil
	}
	return false, err
}

func (e *ends) reaches(s source, offset int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return offset < e.known[s]
}

// fetch asks the broker where the partitions of topics end, all of them.
func (e *ends) fetch(ctx context.Context, topics ...string) (map[source]int64, error) {
	found, err := e.ask(ctx, topics, func() bool { return false })
	if err != nil {
		return nil, err
	}
	return found, nil
}

// askAgain is how long after an answer that will be another one it is asked again.
const askAgain = 100 * time.Millisecond

// ask asks until all partitions are answered for, or what is known is enough. That a partition has no leader at the moment
// is waited out, as it is by those who read it and write to it: it is so each time a broker stops.
func (e *ends) ask(ctx context.Context, topics []string, enough func() bool) (map[source]int64, error) {
	for {
		found, err := e.list(ctx, topics...)
		e.learn(found)
		if err == nil || enough() || !passes(err) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, err
		case <-time.After(askAgain):
		}
	}
}

// passes reports whether an error is one of those that an election or the loss of a broker brings, and ends. A topic that
// isn't there may have been deleted.
func passes(err error) bool {
	return !errors.Is(err, kerr.UnknownTopicOrPartition) && (kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err))
}

func (e *ends) learn(found map[source]int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s, end := range found {
		e.known[s] = max(e.known[s], end)
	}
}

// listEnds returns what is found, with an error also if that isn't all.
func listEnds(ctx context.Context, admin *kadm.Client, topics []string) (map[source]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	listed, err := admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		err = fmt.Errorf("asking where %v end: %w", topics, err)
	}
	found := map[source]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			found[source{o.Topic, o.Partition}] = o.Offset
		}
	})
	return found, err
}
