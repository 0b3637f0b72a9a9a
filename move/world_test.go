package move

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal"
	"stockflow/machines/order"
	"stockflow/stockflowtest/fake"
)

// What is moved here: two partitions of each, a group of ours and one of somebody else's.
const (
	aLog, aTable, letters = "events", "table", "letters"
	partitions            = 2
	ours, others          = "machine", "reader"
)

var shop = []broker.Topic{{Name: aLog, Kind: broker.Log}, {Name: aTable, Kind: broker.Table}, {Name: letters, Kind: broker.Letters}}

// world is a journal and a Kafka.
type world struct {
	t       *testing.T
	journal *journal.Journal
	kafka   *fake.Kafka
	conn    broker.Connection
	death   *death
	left    bool // the data directory is marked
	written int
}

func newWorld(t *testing.T) *world { return newWorldAt(t, nil) }

// newWorldAt is a world whose journal goes by a clock.
func newWorldAt(t *testing.T, clock journal.Clock) *world {
	t.Helper()
	j, err := journal.Open(t.TempDir(), journal.Options{Clock: clock, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, j.Close()) })
	for _, topic := range shop {
		kind := journal.Log
		if topic.Kind == broker.Table {
			kind = journal.Table
		}
		_, err := j.CreateTopic(topic.Name, kind, partitions)
		must(t, err)
	}
	w := &world{t: t, journal: j}
	w.write(30)
	w.opens()
	return w
}

// opens begins with an empty Kafka.
func (w *world) opens(opts ...kfake.Opt) {
	w.kafka = fake.Open(w.t, opts...)
	w.conn = broker.Connection{Brokers: w.kafka.Brokers()}
	w.left, w.death = false, new(death)
	w.kafka.Cluster().Control(w.death.meets(w.kafka.Cluster()))
}

// write has n messages come, each of which changes a row; now and then one becomes a letter.
func (w *world) write(n int) {
	w.t.Helper()
	append1 := func(topic string, p int32, r journal.Record) int64 {
		at, _, err := w.journal.Partition(topic, p).Append(r)
		must(w.t, err)
		return at
	}
	for range n {
		i := w.written
		w.written++
		p, key := int32(i%partitions), fmt.Appendf(nil, "key-%d", i%7)
		r := journal.Record{Key: key, Value: fmt.Appendf(nil, "message %d", i), Headers: journal.Headers{}.With("ce_id", []byte{byte(i)}).With("none", nil)}
		switch i % 10 {
		case 3:
			r.Value = nil
		case 4:
			r.Value, r.Headers = []byte{}, journal.Headers{}
		case 5:
			r.Key = nil
		}
		at := append1(aLog, p, r)
		row := journal.Record{Key: key, Value: codecs.EncodeOrderRow(codecs.Head{Applied: at}, order.State{})}
		append1(aTable, p, row)
		if i%9 == 0 {
			append1(letters, p, r)
		}
		for _, group := range []string{ours, others} {
			_, err := w.journal.Commit(group, map[journal.TopicPartition]journal.Committed{{Topic: aLog, Partition: p}: {Offset: at + 1, Metadata: group}})
			must(w.t, err)
		}
	}
	must(w.t, w.journal.WaitDurable(w.t.Context(), w.journal.Appended()))
}

// move moves, or goes on with it.
func (w *world) move(ctx context.Context) (*Report, error) { return w.newMove().Run(ctx) }

func (w *world) newMove() *Move {
	return &Move{
		From: w.journal, Dir: "/data", DeploymentID: []byte("realm"), Topics: shop, To: w.conn, Log: slog.New(slog.DiscardHandler),
		Left: w.left, Leave: func() error { w.left = true; return nil },
	}
}

// death kills a run at a request.
type death struct {
	at   atomic.Int64 // how many requests are left until then; nobody is killed below 0
	late atomic.Bool  // that request gets through, though nobody hears of it
	dead atomic.Bool
	kill atomic.Value // func()
}

// meets is a control of the cluster. Whoever is dead sends nothing any more.
func (d *death) meets(c *kfake.Cluster) func(kmsg.Request) (kmsg.Response, error, bool) {
	return func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		lives := !d.dead.Load()
		if d.at.Add(-1) == 0 {
			d.kill.Load().(func())()
			d.dead.Store(true)
			lives = d.late.Load()
		}
		if lives {
			return nil, nil, false
		}
		return nil, errors.New("killed"), true
	}
}

// killed moves until the n-th request from now on, and reports whether there were as many.
func (w *world) killed(n int64, late bool) (met bool) {
	w.t.Helper()
	ctx, kill := context.WithCancel(w.t.Context())
	defer kill()
	w.death.kill.Store(func() { kill() })
	w.death.late.Store(late)
	w.death.at.Store(n)
	_, err := w.move(ctx)
	w.death.at.Store(0)
	met = w.death.dead.Swap(false)
	if !met {
		must(w.t, err)
	}
	return met
}

// moved says that all of the journal is on the Kafka, and that it may be used.
func (w *world) moved() {
	w.t.Helper()
	ctx := w.t.Context()
	state, known, err := Check(ctx, w.conn)
	if err != nil || !known || state.Deployment != w.journal.Deployment() || string(state.DeploymentID) != "realm" || !w.left {
		w.t.Fatalf("after a move: %+v, %v, %v; marked: %v", state, known, err, w.left)
	}
	local := broker.NewLocal(w.journal)
	for _, topic := range shop {
		for p := range int32(partitions) {
			if topic.Kind != broker.Table {
				want, got := w.read(local, topic.Name, p, true), w.read(w.conn, topic.Name, p, true)
				if !slices.Equal(got, want) {
					w.t.Errorf("%s/%d is %q, and in the journal %q", topic.Name, p, got, want)
				}
				continue
			}
			if want, got := newestOf(w.read(local, topic.Name, p, false)), newestOf(w.read(w.conn, topic.Name, p, false)); !maps.Equal(want, got) {
				w.t.Errorf("%s/%d has %q, and in the journal %q", topic.Name, p, got, want)
			}
		}
	}
	for _, group := range []string{ours, others} {
		want, err := local.Committed(ctx, group)
		must(w.t, err)
		got, err := w.conn.Committed(ctx, group)
		must(w.t, err)
		if !maps.Equal(want, got) {
			w.t.Errorf("group %s has committed %v, and in the journal %v", group, got, want)
		}
	}
	states, err := w.conn.Inspect(ctx, shop, partitions)
	must(w.t, err)
	for _, s := range states {
		for _, trait := range s.Traits {
			if trait.Verdict != broker.Fine {
				w.t.Errorf("%s has %s=%s, not %s", s.Topic.Name, trait.Name, trait.Is, trait.Should)
			}
		}
	}
}

// read returns the records of a partition, each as a text that begins with its key.
func (w *world) read(b broker.Broker, topic string, p int32, offsets bool) (all []string) {
	w.t.Helper()
	ends, err := b.Ends(w.t.Context(), topic)
	must(w.t, err)
	must(w.t, b.Read(w.t.Context(), topic, p, 0, ends[broker.TopicPartition{Topic: topic, Partition: p}], func(r *kgo.Record) error {
		text := fmt.Sprintf("%s %x %v %d", r.Key, r.Value, r.Value == nil, r.Timestamp.UnixMilli())
		for _, h := range r.Headers {
			text += fmt.Sprintf(" %s=%x", h.Key, h.Value)
		}
		if offsets {
			text += fmt.Sprintf(" at %d", r.Offset)
		}
		all = append(all, text)
		return nil
	}))
	return all
}

// newestOf are the last records of each key.
func newestOf(records []string) map[string]string {
	all := map[string]string{}
	for _, r := range records {
		key, rest, _ := strings.Cut(r, " ")
		all[key] = rest
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
