package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/IBM/sarama"

	"stockflow/broker"
)

func commitsAreKept(t *testing.T, b *bench) {
	b.ensure()
	b.write(log, 0, numbers(4)...)
	at := func(n int32) broker.TopicPartition { return broker.TopicPartition{Topic: log, Partition: n} }
	committed, err := b.Outside.Committed(b.ctx, "conformance")
	if err != nil || len(committed) > 0 {
		t.Errorf("a group that never was has committed %v, %v", committed, err)
	}
	if members, err := b.Outside.Members(b.ctx, "conformance"); err != nil || len(members) > 0 {
		t.Errorf("a group that never was has the members %q, %v", members, err)
	}
	if owners, err := b.Outside.Owners(b.ctx, "conformance", log); err != nil || len(owners) > 0 {
		t.Errorf("partitions of a group that never was are held by %v, %v", owners, err)
	}
	want := map[broker.TopicPartition]int64{at(0): 3, at(1): 0}
	b.must(b.Outside.Commit(b.ctx, "conformance", want))
	committed, err = b.Outside.Committed(b.ctx, "conformance")
	if err != nil || !maps.Equal(committed, want) {
		t.Errorf("committed are %v, %v", committed, err)
	}
	lag, err := b.Outside.Lag(b.ctx, "conformance", log)
	if err != nil || lag[at(0)] != 1 || lag[at(1)] != 0 {
		t.Errorf("the lag is %v, %v", lag, err)
	}
}

func aConsumerReadsAPartition(t *testing.T, b *bench) {
	b.ensure()
	b.write(table, 1, numbers(5)...)
	c, err := b.Outside.Consumer("conformance")
	b.must(err)
	defer c.Close() //nolint:errcheck // nothing was written
	for from, want := range map[int64][]string{sarama.OffsetOldest: numbers(6), 2: numbers(6)[2:], sarama.OffsetNewest: {"5"}} {
		p, err := c.ConsumePartition(table, 1, from)
		b.must(err)
		if from == sarama.OffsetNewest {
			b.write(table, 1, "5")
		} else if b.end(table, 1) == 5 {
			want = want[:len(want)-1]
		}
		for _, w := range want {
			select {
			case m := <-p.Messages():
				if string(m.Value) != w || m.Topic != table || m.Partition != 1 || m.Timestamp.IsZero() {
					t.Errorf("from %d: %+v came, not %s", from, m, w)
				}
			case <-b.ctx.Done():
				t.Fatalf("from %d: %s never came", from, w)
			}
		}
		b.must(p.Close())
		if _, open := <-p.Messages(); open {
			t.Error("messages come after the end")
		}
	}
}

// keeper is a group's handler that marks what it gets, up to a value, and holds it.
type keeper struct {
	mu     sync.Mutex
	got    map[int32][]string
	enough int // messages, then done is closed
	done   chan struct{}
	setUp  []int32
}

func newKeeper(enough int) *keeper {
	return &keeper{got: map[int32][]string{}, enough: enough, done: make(chan struct{})}
}

func (k *keeper) Setup(s sarama.ConsumerGroupSession) error {
	k.setUp = slices.Sorted(slices.Values(s.Claims()[log]))
	return nil
}
func (k *keeper) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (k *keeper) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, open := <-c.Messages():
			if !open {
				return nil
			}
			k.keep(m)
			s.MarkOffset(m.Topic, m.Partition, m.Offset+1, "")
		case <-s.Context().Done():
			return nil
		}
	}
}

func (k *keeper) keep(m *sarama.ConsumerMessage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.got[m.Partition] = append(k.got[m.Partition], string(m.Value))
	if k.enough--; k.enough == 0 {
		close(k.done)
	}
}

// consume has a member of a group get so many messages.
func (b *bench) consume(group string, messages int) *keeper {
	b.Helper()
	k := newKeeper(messages)
	g, err := b.Inside.ConsumerGroup("conformance", group)
	b.must(err)
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.Consume(ctx, []string{log}, k) }()
	select {
	case <-k.done:
	case err := <-ended:
		b.Fatalf("the group %s ended: %v", group, err)
	case <-b.ctx.Done():
		b.Fatalf("the group %s got only %v", group, k.got)
	}
	stop()
	b.must(<-ended)
	b.must(g.Close())
	b.must(b.Inside.Sync(b.ctx))
	if !slices.Equal(k.setUp, []int32{0, 1, 2}) {
		b.Errorf("the session had partitions %v", k.setUp)
	}
	return k
}

func aGroupGoesOnWhereItWas(t *testing.T, b *bench) {
	b.ensure()
	for n := range int32(partitions) {
		b.write(log, n, "a", "b")
	}
	first := b.consume("conformance", 2*partitions)
	committed, err := b.Outside.Committed(b.ctx, "conformance")
	b.must(err)
	for n := range int32(partitions) {
		if !slices.Equal(first.got[n], []string{"a", "b"}) || committed[broker.TopicPartition{Topic: log, Partition: n}] != 2 {
			t.Errorf("partition %d: got %v, committed %v", n, first.got[n], committed)
		}
		b.write(log, n, "c")
	}
	second := b.consume("conformance", partitions)
	for n := range int32(partitions) {
		if !slices.Equal(second.got[n], []string{"c"}) {
			t.Errorf("partition %d goes on with %v", n, second.got[n])
		}
	}
}

func aGroupEnds(t *testing.T, b *bench) {
	b.ensure()
	g, err := b.Inside.ConsumerGroup("conformance", "conformance")
	b.must(err)
	over, end := context.WithCancel(b.ctx)
	k := newKeeper(1)
	ended := make(chan error, 1)
	go func() { ended <- g.Consume(over, []string{log}, k) }()
	b.write(log, 0, "a")
	<-k.done
	end()
	b.must(<-ended)
	b.must(g.Close())
	for range g.Errors() {
		t.Error("an orderly end is told as an error")
	}
}

func groupsDontKnowEachOther(t *testing.T, b *bench) {
	b.ensure()
	b.write(log, 0, numbers(3)...)
	for i := range 2 {
		k := b.consume(fmt.Sprint("conformance-", i), 3)
		if !slices.Equal(k.got[0], numbers(3)) {
			t.Errorf("group %d got %v", i, k.got)
		}
	}
}

func offsetsOfTopics(t *testing.T, b *bench) {
	b.ensure()
	b.write(table, 2, numbers(7)...)
	m, err := b.Outside.TopicOffsets("conformance")
	b.must(err)
	defer m.Close() //nolint:errcheck // nothing was written
	if p, err := m.Partitions(table); err != nil || !slices.Equal(slices.Sorted(slices.Values(p)), []int32{0, 1, 2}) {
		t.Errorf("partitions %v, %v", p, err)
	}
	if p, err := m.Partitions("no-topic"); err == nil {
		t.Errorf("a topic that doesn't exist has partitions %v", p)
	}
	oldest, err1 := m.GetOffset(table, 2, sarama.OffsetOldest)
	newest, err2 := m.GetOffset(table, 2, sarama.OffsetNewest)
	if err1 != nil || err2 != nil || oldest != 0 || newest != 7 {
		t.Errorf("from %d to %d, %v, %v", oldest, newest, err1, err2)
	}
}
