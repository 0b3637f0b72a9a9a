package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"stockflow/broker"
)

// stallAfter is how long a group may stand in front of messages before it isn't ready: longer than it takes to find out that a
// member has died, and to share out and recover what it had.
const stallAfter = 20 * time.Second

// watchProgress keeps the lag metrics and what Waiting says of messages that nobody takes, until ctx ends.
func (g *Group) watchProgress(ctx context.Context) {
	conn, forget, err := g.base.conn.Keep()
	if err != nil {
		return // which ends each life of the group too, and is logged there
	}
	defer forget()
	p := &progress{conn: conn, group: g.name, log: g.base.input, backlogs: map[int32]*backlog{}}
	tick := time.NewTicker(g.lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		switch err := p.look(ctx, now); {
		case err == nil:
			g.measure(p, now)
			g.stall(g.stalls(ctx, p, now))
		case broker.Denied(err):
			g.stall([]string{fmt.Sprintf("how far group %s is isn't known: %v", g.name, err)})
		} // else the brokers are away, which is said by whoever writes
	}
}

// measure sets the lag metrics.
func (g *Group) measure(p *progress, now time.Time) {
	var behind int64
	var age time.Duration
	for _, s := range p.backlogs {
		behind += s.waiting()
		age = max(age, s.age(now))
		if l := g.worker(s.partition); l != nil && s.waiting() > 0 {
			if at := l.reached(); at > 0 {
				age = max(age, now.Sub(time.UnixMilli(at)))
			}
		}
	}
	g.metrics.all.lag.WithLabelValues(g.name).Set(float64(behind))
	g.metrics.all.lagTime.WithLabelValues(g.name).Set(age.Seconds())
}

// worker returns the worker of a partition that this process owns or recovers, nil for none.
func (g *Group) worker(partition int32) *worker {
	g.mu.Lock()
	life := g.life
	g.mu.Unlock()
	if life == nil || int(partition) >= len(life.workers) {
		return nil
	}
	return life.worker(partition)
}

// stall notes what Waiting says of messages that nobody takes.
func (g *Group) stall(lines []string) {
	g.mu.Lock()
	before := g.stalled
	g.stalled = lines
	g.mu.Unlock()
	if slices.Equal(before, lines) {
		return
	}
	if len(before) == 0 { // later ones only count on
		g.base.log.Error("messages wait and nobody takes them", "which", strings.Join(lines, "; "))
	}
	g.change()
}

// stalls says which messages wait for too long, and why as far as that is known: a line for each cause.
func (g *Group) stalls(ctx context.Context, p *progress, now time.Time) []string {
	causes := map[string][]*backlog{}
	owners := sync.OnceValues(func() (map[broker.TopicPartition]broker.Owner, error) { return p.conn.Owners(ctx, p.group, p.log) })
	for _, n := range slices.Sorted(maps.Keys(p.backlogs)) {
		s := p.backlogs[n]
		l := g.worker(n)
		if !s.stalled(now, g.stallAfter) || l != nil && l.hasHalted() { // of which halted has its own line
			continue
		}
		cause := "this process holds them and takes none"
		switch {
		case s.held():
			cause = "a transaction that is open holds them back"
		case s.unread != nil:
			cause = "they can't be read: " + s.unread.Error()
		case l == nil:
			cause = g.heldBy(owners, n)
		}
		causes[cause] = append(causes[cause], s)
	}
	var lines []string
	for _, cause := range slices.Sorted(maps.Keys(causes)) {
		lines = append(lines, g.stallLine(causes[cause], cause))
	}
	return lines
}

// heldBy says who holds a partition that this process doesn't.
func (g *Group) heldBy(owners func() (map[broker.TopicPartition]broker.Owner, error), partition int32) string {
	all, err := owners()
	if err != nil {
		return "who holds them isn't known: " + err.Error()
	}
	owner, held := all[broker.TopicPartition{Topic: g.base.input, Partition: partition}]
	if !held {
		return "no member of the group holds them"
	}
	return owner.String() + " holds them and takes none"
}

// stallLine is what Waiting says of partitions that wait for the same cause.
func (g *Group) stallLine(all []*backlog, cause string) string {
	var numbers []string
	var records int64
	since := all[0].since
	for _, s := range all {
		numbers = append(numbers, fmt.Sprint(s.partition))
		records += s.waiting()
		for _, at := range []time.Time{s.since, s.first} {
			if !at.IsZero() && at.Before(since) {
				since = at
			}
		}
	}
	return fmt.Sprintf("group %s takes nothing of %s/%s, where %d records have waited since %s: %s",
		g.name, g.base.input, strings.Join(numbers, ","), records, since.UTC().Format(time.RFC3339), cause)
}
