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
	admin *kadm.Client
	logs  []string // those asked for together

	mu    sync.Mutex
	known map[source]int64
}

func newEnds(admin *kadm.Client, logs []string) *ends {
	return &ends{admin: admin, logs: logs, known: map[source]int64{}}
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
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	listed, err := e.admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking where %v end: %w", topics, err)
	}
	found := map[source]int64{}
	e.mu.Lock()
	defer e.mu.Unlock()
	listed.Each(func(o kadm.ListedOffset) {
		s := source{o.Topic, o.Partition}
		found[s] = o.Offset
		e.known[s] = max(e.known[s], o.Offset)
	})
	return found, nil
}
