package engine

import (
	"context"
	"sync"
	"time"

	"stockflow/broker"
	"stockflow/codecs"
)

// ends knows how far logs reach. What it knows only grows, as logs do, so it asks the broker only when a position
// lies beyond what it knows. Safe for concurrent use.
type ends struct {
	list func(ctx context.Context, topics ...string) (map[source]int64, error) // asks the broker
	logs []string                                                              // those asked for together
	end  func(topic string, partition int32) int64                             // asks for one; nil if that is no quicker

	mu    sync.Mutex
	known map[source]int64
}

func newEnds(conn broker.Broker, logs []string) *ends {
	list := func(ctx context.Context, topics ...string) (map[source]int64, error) {
		found := map[source]int64{}
		listed, err := conn.Ends(ctx, topics...)
		for p, end := range listed {
			found[source{p.Topic, p.Partition}] = end
		}
		return found, err
	}
	e := &ends{list: list, logs: logs, known: map[source]int64{}}
	if near, ok := conn.(interface {
		End(topic string, partition int32) int64
	}); ok {
		e.end = near.End
	}
	return e
}

// has reports whether the log of an origin reaches beyond it.
func (e *ends) has(ctx context.Context, o codecs.Origin) (bool, error) {
	if e.end != nil {
		return o.Offset < e.end(o.Log, o.Partition), nil
	}
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
		if err == nil || enough() || !broker.Passes(err) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, err
		case <-time.After(askAgain):
		}
	}
}

func (e *ends) learn(found map[source]int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s, end := range found {
		e.known[s] = max(e.known[s], end)
	}
}
