package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

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
	if e.reaches(s, o.Offset) {
		return true, nil
	}
	if _, err := e.fetch(ctx, e.logs...); err != nil {
		return false, err
	}
	return e.reaches(s, o.Offset), nil
}

func (e *ends) reaches(s source, offset int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return offset < e.known[s]
}

// fetch asks the broker where the partitions of topics end.
func (e *ends) fetch(ctx context.Context, topics ...string) (map[source]int64, error) {
	found, err := e.list(ctx, topics...)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for s, end := range found {
		e.known[s] = max(e.known[s], end)
	}
	return found, nil
}

func listEnds(ctx context.Context, admin *kadm.Client, topics []string) (map[source]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	listed, err := admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking where %v end: %w", topics, err)
	}
	found := map[source]int64{}
	listed.Each(func(o kadm.ListedOffset) { found[source{o.Topic, o.Partition}] = o.Offset })
	return found, nil
}
