package mail

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/notification"
	"stockflow/views"
)

// office is an outbox, its log and its machine in memory: what is emitted is folded at once.
type office struct {
	t testing.TB

	mu      sync.Mutex // guards what follows
	rows    map[string]views.Row[notification.State]
	told    []func(string)
	came    chan struct{} // closed, and replaced, when a row has come
	offset  int64
	owned   []int32
	changed chan struct{}
	unread  int // how many reads are answered with ErrRecovering
	unheard int // how many messages are not acknowledged
	lists   int
}

const partitions = 4

func newOffice(t testing.TB) *office {
	return &office{t: t, rows: map[string]views.Row[notification.State]{}, came: make(chan struct{}),
		owned: []int32{0, 1, 2, 3}, changed: make(chan struct{})}
}

// ask puts an e-mail into the outbox, as an order does.
func (o *office) ask(orderID string, n notification.Notify) { o.fold(orderID, n) }

func (o *office) fold(key string, event any) engine.Position {
	o.mu.Lock()
	defer o.mu.Unlock()
	row := o.rows[key]
	res := notification.Apply(row.State, notification.Message{OrderID: key, At: 1_291_190_400_000, RulesVersion: notification.RulesVersion, Event: event})
	if res.Inapplicable != "" {
		o.t.Error(res.Inapplicable)
	}
	at := engine.Position{Partition: broker.Partition([]byte(key), partitions), Offset: o.offset}
	o.rows[key] = views.Row[notification.State]{Head: codecs.Head{Applied: o.offset}, State: res.State, Found: true}
	o.offset++
	for _, told := range o.told {
		told(key)
	}
	close(o.came)
	o.came = make(chan struct{})
	return at
}

func (o *office) Emit(_ context.Context, out engine.Output, _ ...codecs.Header) (engine.Position, error) {
	d, err := codecs.DecodeNotificationEvent(out.Value)
	if err != nil || d.Emitted || out.Log != "notification-events" {
		o.t.Errorf("%+v was emitted: %v", out, err)
		return engine.Position{}, engine.ErrUnreachable
	}
	at := o.fold(out.Key, d.Event)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unheard > 0 {
		o.unheard--
		return engine.Position{}, engine.ErrUnknown
	}
	return at, nil
}

func (o *office) Get(key string) (views.Row[notification.State], error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unread > 0 {
		o.unread--
		return views.Row[notification.State]{}, &views.ErrRecovering{Table: "notification-table"}
	}
	return o.rows[key], nil
}

// List knows one selection, that of rows with something queued.
func (o *office) List(_ views.Selection[notification.State], after string, limit int) (page []views.Entry[notification.State], next string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lists++; o.lists == 1 {
		return nil, "", errors.New("the disk is asleep")
	}
	for _, key := range slices.Sorted(maps.Keys(o.rows)) {
		if key <= after || !o.rows[key].State.Has(notification.StatusQueued) {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].Key, nil
		}
		page = append(page, views.Entry[notification.State]{Key: key, Row: o.rows[key]})
	}
	return page, "", nil
}

func (o *office) Partition(key string) int32              { return broker.Partition([]byte(key), partitions) }
func (o *office) WaitRecovered(ctx context.Context) error { return ctx.Err() }
func (o *office) Subscribe(told func(key string))         { o.told = append(o.told, told) }

func (o *office) Owned() []int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.owned)
}

func (o *office) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *office) own(owned ...int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owned = owned
	close(o.changed)
	o.changed = make(chan struct{})
}

// tellAgain tells of rows that have not changed, as a table does when it is opened again.
func (o *office) tellAgain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.rows {
		for _, told := range o.told {
			told(key)
		}
	}
}

// mail returns an e-mail as it stands.
func (o *office) mail(key string, k notification.Kind) notification.Mail {
	o.mu.Lock()
	defer o.mu.Unlock()
	m, _ := o.rows[key].State.Find(k)
	return m
}

// until waits until the rows are as met says.
func (o *office) until(met func(rows map[string]views.Row[notification.State]) bool) {
	o.t.Helper()
	for {
		o.mu.Lock()
		done, came := met(o.rows), o.came
		o.mu.Unlock()
		if done {
			return
		}
		select {
		case <-came:
		case <-time.After(generous):
			o.t.Fatal("it is not as it should be after a minute")
		}
	}
}

// settled waits until nothing is queued.
func (o *office) settled() {
	o.t.Helper()
	o.until(func(rows map[string]views.Row[notification.State]) bool {
		for _, row := range rows {
			if row.State.Has(notification.StatusQueued) {
				return false
			}
		}
		return true
	})
}

// generous is a bound on everything that is waited for, so that a test that hangs says where.
const generous = time.Minute

func newWriter(t testing.TB) *Writer {
	t.Helper()
	w, err := NewWriter("The Shop <shop@example.org>", "")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// sender returns a sender for which no time passes between attempts.
func (o *office) sender(outlet Outlet) *Sender {
	now := make(chan time.Time)
	close(now)
	return New(Config{
		Outbox: o, Ownership: o, Emitter: o, Outlet: outlet, Writer: newWriter(o.t),
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
		After: func(time.Duration) <-chan time.Time { return now },
	})
}

// run runs a sender until the test ends or stop is called, which returns when the sender has ended.
func run(t testing.TB, s *Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(generous):
			t.Error("the sender doesn't end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// to is an e-mail of a kind to an address.
func to(k notification.Kind, address string) notification.Notify {
	return notification.Notify{Kind: k, Name: "Ada", Email: address, Lines: []notification.Line{{SKU: "lamp", Quantity: 2, Allocated: 2}}}
}
