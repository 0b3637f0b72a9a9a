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
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// Group runs a machine: it supervises goka processors, one after the other, until it is told to stop.
type Group struct {
	name    string
	build   func(*instance) *goka.GroupGraph
	base    instance // what every instance begins as
	logs    []string // the logs whose ends matter: the machine's own and those it hears
	metrics groupMetrics

	mu      sync.Mutex // guards what follows
	current *goka.Processor
	life    *instance
	changed chan struct{} // closed, and replaced, when Waiting may say something else
}

// Config is what a group needs of its surroundings.
type Config struct {
	Conn       broker.Connection
	Dir        string // for the stores
	Partitions int32  // of every log and table
	Log        *slog.Logger
	Metrics    *Metrics
}

// Back-off between two processors of a group.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// patience is how long a stop waits for what is under way before it gives it up, as a crash would.
const patience = 5 * time.Second

// NewGroup binds a machine to its group.
func NewGroup[S any](m Machine[S], c Config) *Group {
	g := &Group{
		name:    m.Group,
		metrics: c.Metrics.of(m.Group),
		logs:    append([]string{m.Log}, m.Hears...),
		changed: make(chan struct{}),
		build: func(i *instance) *goka.GroupGraph {
			return worker[S]{machine: m, instance: i}.graph()
		},
	}
	g.base = instance{
		group: m.Group, input: m.Log, table: m.Table, partitions: c.Partitions,
		conn: c.Conn, dir: c.Dir, log: c.Log.With("group", m.Group), metrics: g.metrics, flaws: builtIn(),
	}
	return g
}

// Run processes until ctx ends, which is not an error. An error of the broker or of a processor is waited out; an
// error that no waiting mends (ErrLogCut) is returned.
func (g *Group) Run(ctx context.Context) error {
	backoff := firstBackoff
	for {
		began := time.Now()
		err := g.live(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrLogCut) {
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

// live is one life of the group's processor.
func (g *Group) live(ctx context.Context) error {
	client, err := g.base.conn.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	life, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	i := g.newInstance(life, client, stop)
	p, err := goka.NewProcessor(i.conn.Brokers, g.build(i), g.options(i)...)
	if err != nil {
		return fmt.Errorf("building the processor of %s: %w", g.name, err)
	}
	g.show(p, i)
	defer g.show(nil, nil)
	giveUp := context.AfterFunc(life, func() {
		time.AfterFunc(patience, func() { i.fail(errEnded) })
	})
	defer giveUp()
	go i.watchIdle(life)
	go g.watchLag(life, i, kadm.NewClient(client))
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

func (g *Group) newInstance(life context.Context, client *kgo.Client, stop context.CancelCauseFunc) *instance {
	b := &g.base
	sending, refuse := context.WithCancel(context.Background())
	return &instance{
		sending: sending, refuse: refuse,
		group: b.group, input: b.input, table: b.table, partitions: b.partitions,
		conn: b.conn, dir: b.dir, eventSource: []byte("/stockflow/" + b.group), log: b.log, metrics: b.metrics, flaws: b.flaws,
		ends: newEnds(kadm.NewClient(client), g.logs), life: life, stop: stop,
		lanes: map[int32]*lane{}, halts: map[int32]string{}, changed: g.change,
	}
}

// options are goka's hooks, each of which mends something of it.
func (g *Group) options(i *instance) []goka.ProcessorOption {
	name := "stockflow-" + g.name
	config := func() *sarama.Config { return i.conn.Sarama(name) } // one for each client: goka writes into it
	grouping := config()
	grouping.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{goka.CopartitioningStrategy}
	topics := goka.NewTopicManagerConfig()
	topics.NoCreate = true
	logger := gokaLog{i.log}
	return []goka.ProcessorOption{
		goka.WithLogger(logger),
		goka.WithClientID(name),
		goka.WithHasher(broker.NewHasher()),
		goka.WithNilHandling(goka.NilProcess), // a message without value is poison, and is said to be
		goka.WithPartitionChannelSize(256),
		goka.WithConsumerSaramaBuilder(goka.SaramaConsumerBuilderWithConfig(config())),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithConfig(config(), topics)),
		goka.WithStorageBuilder(i.buildStorage),
		goka.WithUpdateCallback(i.update),
		goka.WithProducerBuilder(i.buildProducer),
		goka.WithConsumerGroupBuilder(func(brokers []string, group, clientID string) (sarama.ConsumerGroup, error) {
			inner, err := goka.ConsumerGroupBuilderWithConfig(grouping)(brokers, group, clientID)
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

// Waiting says what keeps the group from working, one line each; none when all its partitions here are at work.
func (g *Group) Waiting() []string {
	g.mu.Lock()
	p, life := g.current, g.life
	g.mu.Unlock()
	if p == nil || !p.Recovered() {
		return []string{fmt.Sprintf("group %s is recovering %s", g.name, g.base.table)}
	}
	return life.halted()
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

// watchLag keeps the lag metrics until ctx ends.
func (g *Group) watchLag(ctx context.Context, i *instance, admin *kadm.Client) {
	tick := time.NewTicker(idleCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		lags, err := admin.Lag(ctx, g.name)
		if err != nil {
			continue
		}
		behind := float64(lags[g.name].Lag.Total())
		g.metrics.all.lag.WithLabelValues(g.name).Set(behind)
		g.metrics.all.lagTime.WithLabelValues(g.name).Set(i.oldest(lags[g.name].Lag))
	}
}

// oldest returns how many seconds ago the log took in the message that a partition of this instance is at, of those
// that are behind; the largest of them.
func (i *instance) oldest(lags kadm.GroupLag) float64 {
	var age time.Duration
	for _, l := range i.owned() {
		if lag, ok := lags.Lookup(i.input, l.partition); ok && lag.Lag > 0 {
			if at := l.reached(); at > 0 {
				age = max(age, time.Since(time.UnixMilli(at)))
			}
		}
	}
	return age.Seconds()
}

func sortHeaders(h []codecs.Header) {
	slices.SortFunc(h, func(a, b codecs.Header) int { return cmp.Compare(a.Key, b.Key) })
}

// gokaLog shows goka's talk at debug level: whatever of it matters comes as an error too.
type gokaLog struct{ log *slog.Logger }

func (l gokaLog) Print(v ...any)                 { l.log.Debug(fmt.Sprint(v...)) }
func (l gokaLog) Println(v ...any)               { l.log.Debug(fmt.Sprint(v...)) }
func (l gokaLog) Printf(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
