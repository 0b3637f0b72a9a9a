package engine

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/stockflowtest"
)

// impatient has a group look often, and say at once what doesn't move.
func impatient(g *Group) { g.lookEvery, g.stallAfter = 20*time.Millisecond, 100*time.Millisecond }

// lag returns the lag metrics of a group.
func (g *Group) lag() (records, seconds float64) {
	return testutil.ToFloat64(g.metrics.all.lag.WithLabelValues(g.name)), testutil.ToFloat64(g.metrics.all.lagTime.WithLabelValues(g.name))
}

// TestAForeignMemberThatDoesNothingIsNamed: it holds all partitions, and this process has recovered those that it owns, which are none.
func TestAForeignMemberThatDoesNothingIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	leave := stockflowtest.Foreigner(t, b.conn.Brokers, "toy", toyLog)
	b.putAt(0, toyLog, "k", receive(1, ""))
	b.putAt(0, toyLog, "k", receive(1, ""))
	g, _ := b.run(toyMachine(), impatient)
	waitFor(t, g, "group toy takes nothing of toy-events/0, where 2 records have waited since ", ": foreigner at 127.0.0.1", "(member foreigner-")
	if records, seconds := g.lag(); records != 2 || seconds <= 0 {
		t.Errorf("the lag is %v records and %v s", records, seconds)
	}
	leave()
	if err := g.WaitReady(within(t)); err != nil {
		t.Errorf("it is not ready, and waits for %q", g.Waiting())
	}
}

// transactional returns a client whose transactions are the test's.
func (b *bench) transactional() *kgo.Client {
	b.t.Helper()
	client, err := b.conn.Client(kgo.TransactionalID("shop"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(client.Close)
	return client
}

// begin writes a message in a transaction and leaves it open.
func (b *bench) begin(client *kgo.Client, key string, value []byte) {
	b.t.Helper()
	if err := client.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	if err := client.ProduceSync(b.t.Context(), &kgo.Record{Topic: toyLog, Key: []byte(key), Value: value}).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) end(client *kgo.Client, how kgo.TransactionEndTry) {
	b.t.Helper()
	if err := client.EndTransaction(b.t.Context(), how); err != nil {
		b.t.Fatal(err)
	}
}

// TestAnOpenTransactionIsNamed: nothing behind its first message can be read, whoever wrote it.
func TestAnOpenTransactionIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	g, _ := b.run(toyMachine(), impatient)
	b.put(toyLog, "k", receive(1, ""))
	b.sums(map[string]int64{"k": 1})
	client := b.transactional()
	b.begin(client, "k", receive(10, ""))
	b.put(toyLog, "k", receive(100, ""))
	waitFor(t, g, "group toy takes nothing of toy-events/0, where 2 records have waited since ", ": a transaction that is open holds them back")
	if records, seconds := g.lag(); records != 2 || seconds <= 0 {
		t.Errorf("the lag is %v records and %v s", records, seconds)
	}
	b.end(client, kgo.TryCommit)
	b.sums(map[string]int64{"k": 111})
	if err := g.WaitReady(within(t)); err != nil {
		t.Errorf("it is not ready, and waits for %q", g.Waiting())
	}
}

// TestWhatTransactionsLeaveBehindIsNoMessage: their marks, and what was given up, are counted as lag and never taken.
func TestWhatTransactionsLeaveBehindIsNoMessage(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	client := b.transactional()
	b.begin(client, "k", receive(1, ""))
	b.end(client, kgo.TryCommit)
	at := broker.TopicPartition{Topic: toyLog}
	if err := b.conn.Commit(t.Context(), "toy", map[broker.TopicPartition]int64{at: 1}); err != nil {
		t.Fatal(err)
	}
	p := &progress{conn: b.conn, group: "toy", log: toyLog, backlogs: map[int32]*backlog{}}
	now := time.Now()
	look := func(want int64, age time.Duration, stalled bool) {
		t.Helper()
		now = now.Add(time.Hour)
		if err := p.look(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		s := p.backlogs[0]
		if s.waiting() != want || s.age(now).Round(time.Hour) != age || s.stalled(now, time.Minute) != stalled {
			t.Errorf("%d records wait, for %v, stalled: %t; expected %d, %v, %t", s.waiting(), s.age(now), s.stalled(now, time.Minute), want, age, stalled)
		}
	}
	look(1, 0, false) // it was never seen before
	look(0, 0, false)
	b.begin(client, "k", receive(2, ""))
	look(1, 0, false)
	look(1, time.Hour, true)
	b.end(client, kgo.TryAbort)
	look(0, 0, false)
	b.put(toyLog, "k", receive(3, ""))
	look(1, 6*time.Hour, false) // by its time in the log
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	now = now.Add(time.Hour)
	if err := p.look(gone, now); err == nil || p.backlogs[0].stalled(now, time.Minute) {
		t.Errorf("while no broker could be asked for an hour, nothing was taken, and that is held against the group: %v", err)
	}
	look(1, 8*time.Hour, true)
}
