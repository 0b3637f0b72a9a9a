package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"stockflow/broker"
	"stockflow/journal/files"
)

// Group runs a machine: it supervises goka processors, one after the other, until it is told to stop.
type Group struct {
	name    string
	build   func(*instance) *goka.GroupGraph
	base    instance // what every instance begins as
	logs    []string // the logs whose ends matter: the machine's own and those it hears
	metrics groupMetrics

	lookEvery  time.Duration // how often it is looked at the progress
	stallAfter time.Duration

	mu      sync.Mutex // guards what follows
	current *goka.Processor
	life    *instance
	stalled []string      // what Waiting says of messages that nobody takes
	changed chan struct{} // closed, and replaced, when Waiting may say something else
}

// Config is what a group needs of its surroundings.
type Config struct {
	Conn       broker.Broker
	Dir        string   // for the stores
	Files      files.FS // that their files go through; nil: the operating system's
	Partitions int32    // of every log and table
	Log        *slog.Logger
	Metrics    *Metrics
	Skips      *Skips // of Conn; nil: the group reads for itself which messages are to be skipped
}

// Back-off between two processors of a group.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// timeout is how long a stop waits for what is under way before it gives it up, as a crash would.
const timeout = 5 * time.Second

// leaving is how long a group may take to hear that a member leaves.
const leaving = 2 * time.Second

// NewGroup binds a machine to its group.
func NewGroup[S any](m Machine[S], c Config) *Group {
	g := &Group{
		name:    m.Group,
		metrics: c.Metrics.of(m.Group), lookEvery: idleCheck, stallAfter: stallAfter,
		logs:    append([]string{m.Log}, m.AcceptsFrom...),
		changed: make(chan struct{}),
		build: func(i *instance) *goka.GroupGraph {
			w := processing[S]{machine: m, instance: i}
			return w.graph()
		},
	}
	g.base = instance{
		group: m.Group, input: m.Log, table: m.Table, partitions: c.Partitions,
		conn: c.Conn, dir: c.Dir, files: cmp.Or(c.Files, files.OS()), log: c.Log.With("group", m.Group), metrics: g.metrics, flaws: builtIn(),
		skips: c.Skips,
	}
	if c.Skips == nil {
		g.base.skips = NewSkips(c.Conn)
	}
	return g
}

// Run processes until ctx ends, which is not an error. An error of the broker or of a processor is waited out; an
// error that no waiting mends (broker.ErrCut, broker.ErrFenced) is returned.
func (g *Group) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	watched, enough := context.WithCancel(ctx)
	defer enough()
	watching.Go(func() { g.watchProgress(watched) })
	backoff := firstBackoff
	for {
		began := time.Now()
		err := g.live(ctx)
		if ctx.Err() != nil {
			g.leave()
			return nil
		}
		if errors.Is(err, broker.ErrFenced) { // to leave would be to take the other's place away
			return err
		}
		if errors.Is(err, broker.ErrCut) {
			g.leave()
			return err
		}
		if time.Since(began) > lastBackoff {
			backoff = firstBackoff
		}
		g.metrics.restarts.Inc()
		g.base.log.Error("the processor has ended and is built anew", "error", err, "after", backoff)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// leave tells the group that we don't come back, so that others take our partitions at once.
func (g *Group) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaving)
	defer cancel()
	if err := g.base.conn.Leave(ctx, g.name); err != nil {
		g.base.log.Warn("the group has not heard that this process stops, and waits until its session is over", "error", err)
	}
}

// live is one life of the group's processor.
func (g *Group) live(ctx context.Context) error {
	conn, forget, err := g.base.conn.Keep()
	if err != nil {
		return err
	}
	defer forget()
	if err := broker.CheckCommitted(ctx, conn, map[string]string{g.name: g.base.input}); err != nil { // before it joins
		return err
	}
	life, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	i := g.newInstance(life, conn, stop)
	p, err := goka.NewProcessor(nil, g.build(i), g.options(i)...)
	if err != nil {
		return fmt.Errorf("building the processor of %s: %w", g.name, err)
	}
	g.show(p, i)
	defer g.show(nil, nil)
	giveUp := context.AfterFunc(life, func() {
		time.AfterFunc(timeout, func() { i.fail(errEnded) })
	})
	defer giveUp()
	go i.watchIdle(life)
	go func() {
		_ = p.WaitForReadyContext(life) // its end is seen elsewhere
		g.change()
	}()
	err = p.Run(life)
	i.repairs.Wait()
	return cmp.Or(i.cause(), err)
}

// cause is the error that ended the life, nil if it was a stop.
func (i *instance) cause() error {
	if err := i.failed(); err != nil && !errors.Is(err, errEnded) {
		return err
	}
	return nil
}

func (g *Group) newInstance(life context.Context, conn broker.Broker, stop context.CancelCauseFunc) *instance {
	b := &g.base
	sending, refuse := context.WithCancel(context.Background())
	return &instance{
		sending: sending, refuse: refuse,
		group: b.group, input: b.input, table: b.table, partitions: b.partitions,
		conn: conn, dir: b.dir, files: b.files, eventSource: []byte("/stockflow/" + b.group), log: b.log, metrics: b.metrics, flaws: b.flaws, skips: b.skips,
		ends: newEnds(conn, g.logs), life: life, stop: stop,
		workers: make([]atomic.Pointer[worker], b.partitions), halts: map[int32]string{}, changed: g.change,
	}
}

// options are goka's hooks, each of which mends something of it.
func (g *Group) options(i *instance) []goka.ProcessorOption {
	name := "stockflow-" + g.name
	logger := gokaLog{i.log}
	return []goka.ProcessorOption{
		goka.WithLogger(logger),
		goka.WithClientID(name),
		goka.WithHasher(broker.NewHasher()),
		goka.WithNilHandling(goka.NilProcess), // a message without value is poison, and is said to be
		goka.WithPartitionChannelSize(256),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return i.conn.Consumer(name) }),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return i.conn.TopicOffsets(name) }),
		goka.WithStorageBuilder(i.buildStorage),
		goka.WithUpdateCallback(i.update),
		goka.WithProducerBuilder(i.buildProducer),
		goka.WithConsumerGroupBuilder(func(_ []string, group, _ string) (sarama.ConsumerGroup, error) {
			inner, err := i.conn.ConsumerGroup(name, group)
			return consumerGroup{inner, i}, err
		}),
	}
}

// show makes a life the current one, and says so again when it has recovered.
func (g *Group) show(p *goka.Processor, i *instance) {
	g.mu.Lock()
	g.current, g.life = p, i
	g.mu.Unlock()
	g.change()
}

func (g *Group) change() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.changed)
	g.changed = make(chan struct{})
}

// WaitReady returns nil once Waiting is empty, or the error of ctx when it ends before.
func (g *Group) WaitReady(ctx context.Context) error {
	for {
		g.mu.Lock()
		changed := g.changed
		g.mu.Unlock()
		if len(g.Waiting()) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Waiting says what keeps the group from working, one line each; none when all its partitions here are at work, and messages
// that wait are taken, here or by the members that hold the other partitions.
func (g *Group) Waiting() []string {
	g.mu.Lock()
	p, life, stalled := g.current, g.life, g.stalled
	g.mu.Unlock()
	if p == nil || !p.Recovered() {
		return []string{fmt.Sprintf("group %s is recovering %s", g.name, g.base.table)}
	}
	return append(life.halted(), stalled...)
}

// halt notes that a partition has stopped.
func (i *instance) halt(r Record, reason string) {
	i.log.Error("the partition stops at a message that this program can't take", "topic", i.input, "partition", r.Partition, "offset", r.Offset, "reason", reason)
	i.metrics.all.halted.WithLabelValues(i.group, strconv.Itoa(int(r.Partition))).Set(1)
	defer i.changed()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.halts[r.Partition] = fmt.Sprintf("%s/%d has stopped at offset %d: %s", i.input, r.Partition, r.Offset, reason)
}

// resume notes that a partition goes on.
func (i *instance) resume(partition int32) {
	i.metrics.all.halted.WithLabelValues(i.group, strconv.Itoa(int(partition))).Set(0)
	defer i.changed()
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.halts, partition)
}

func (i *instance) halted() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var lines []string
	for _, reason := range i.halts {
		lines = append(lines, reason)
	}
	slices.Sort(lines)
	return lines
}

// gokaLog shows goka's talk at debug level: whatever of it matters comes as an error too.
type gokaLog struct{ log *slog.Logger }

func (l gokaLog) Print(v ...any)                 { l.log.Debug(fmt.Sprint(v...)) }
func (l gokaLog) Println(v ...any)               { l.log.Debug(fmt.Sprint(v...)) }
func (l gokaLog) Printf(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
