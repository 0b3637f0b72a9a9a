package engine

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/inventory"
)

func TestMessagesAreFoldedAndOutputsSent(t *testing.T) {
	b := newBench(t, 4)
	_, stop := b.run(toyMachine())
	want := map[string]int64{}
	for i := range 100 {
		key := fmt.Sprintf("k%d", i%7)
		want[key] += int64(i + 1)
		b.put(toyLog, key, receive(int64(i+1), "out"))
	}
	b.sums(want)
	b.sink(100)
	stop()

	// A second life begins where the first ended.
	b.run(toyMachine())
	want["k0"]++
	b.put(toyLog, "k0", receive(1, ""))
	b.sums(want)
}

func TestARepeatIsDropped(t *testing.T) {
	b := newBench(t, 1)
	b.put(toySink, "x", []byte("a cause"))
	b.put(toySink, "x", []byte("another"))
	_, value := codecs.EncodeInventoryEvent(inventory.Reserve{OrderID: "o", Quantity: 5})
	for _, origin := range []string{"sink/0/0/0", "sink/0/0/1", "sink/0/0/0", "sink/0/1/0", "sink/0/0/1"} {
		b.put(toyLog, "k", value, kgo.RecordHeader{Key: codecs.HeaderOrigin, Value: []byte(origin)})
	}
	b.put(toyLog, "end", receive(1, ""))
	b.run(toyMachine())
	b.sums(map[string]int64{"k": 15, "end": 1})
}

func TestWhatCannotBeTakenBecomesALetter(t *testing.T) {
	b := newBench(t, 1)
	origin := func(text string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: codecs.HeaderOrigin, Value: []byte(text)}
	}
	_, reserve := codecs.EncodeInventoryEvent(inventory.Reserve{OrderID: "o", Quantity: 5})
	_, withdraw := codecs.EncodeInventoryEvent(inventory.Withdraw{OrderID: "o"})
	b.put(toySink, "x", []byte("a cause"))
	for _, bad := range []struct {
		value   []byte
		headers []kgo.RecordHeader
		reason  string
	}{
		{nil, nil, "no value"},
		{[]byte{}, nil, ""},
		{[]byte("{"), nil, ""},
		{receive(1, "")[:3], nil, ""},
		{[]byte(`{"receive":{"sku":"other","quantity":1}}`), nil, "contradicts"},
		{reserve, nil, "has no origin"},
		{reserve, []kgo.RecordHeader{origin("nonsense")}, "origin"},
		{reserve, []kgo.RecordHeader{origin("elsewhere/0/0/0")}, "does not send"},
		{reserve, []kgo.RecordHeader{origin("sink/0/1/0")}, "ends before it"},
		{reserve, []kgo.RecordHeader{origin("sink/7/0/0")}, "ends before it"},
		{receive(1, ""), []kgo.RecordHeader{origin("sink/0/0/0")}, "not sent by machines"},
		{withdraw, []kgo.RecordHeader{origin("sink/0/0/0")}, "only adds"},
	} {
		b.put(toyLog, "k", bad.value, bad.headers...)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%q: %s", bad.value, bad.reason)
			}
		})
	}
	b.put(toyLog, "k", receive(9, ""))
	b.run(toyMachine())
	b.sums(map[string]int64{"k": 9})
	reasons := []string{"no value", "", "", "", "contradicts", "has no origin", "origin", "does not send", "ends before it", "ends before it", "not sent by machines", "only adds"}
	for i, l := range b.letters(len(reasons)) {
		if l.Topic != toyLog || l.Offset != int64(i) || string(l.Key) != "k" || l.NoValue != (i == 0) {
			t.Errorf("letter %d is %+v", i, l)
		}
		if l.Reason == "" || !strings.Contains(l.Reason, reasons[i]) {
			t.Errorf("letter %d: reason %q, want %q in it", i, l.Reason, reasons[i])
		}
	}
}

func TestAMessageOnAWrongPartitionIsMovedOnce(t *testing.T) {
	b := newBench(t, 4)
	home := broker.Partition([]byte("k"), 4)
	for p := range int32(4) {
		b.putAt(p, toyLog, "k", receive(1, ""))
	}
	b.putAt((home+1)%4, toyLog, "", []byte(`{"receive":{"sku":"k","quantity":10}}`))
	b.putAt(home, toyLog, "", []byte(`{"receive":{"sku":"k","quantity":100}}`))
	_, stop := b.run(toyMachine())
	b.sums(map[string]int64{"k": 114})
	stop()

	// The moving message again, as after a crash between the move and its mark.
	b.put(toyLog, "k", receive(1, ""), kgo.RecordHeader{
		Key: codecs.HeaderOrigin, Value: fmt.Appendf(nil, "%s/%d/0/0", toyLog, (home+1)%4),
	})
	b.put(toyLog, "k", receive(1000, ""))
	b.run(toyMachine())
	b.sums(map[string]int64{"k": 1114})
}

func TestUnknownRulesStopTheirPartitionAlone(t *testing.T) {
	b := newBench(t, 2)
	key := map[int32]string{}
	for i := 0; len(key) < 2; i++ {
		k := fmt.Sprint("k", i)
		key[broker.Partition([]byte(k), 2)] = k
	}
	b.put(toyLog, key[0], receive(1, ""))
	b.put(toyLog, key[0], []byte(`{"rules":2,"receive":{"sku":"`+key[0]+`","quantity":1}}`))
	b.put(toyLog, key[0], receive(1, ""))
	b.put(toyLog, key[1], receive(1, ""))
	g, stop := b.run(toyMachine())
	b.sums(map[string]int64{key[0]: 1, key[1]: 1})
	waitFor(t, g, toyLog+"/0 has stopped at offset 1: written under rules number 2")
	b.put(toyLog, key[1], receive(1, ""))
	b.sums(map[string]int64{key[0]: 1, key[1]: 2})
	stop()
	if at := b.committed(0); at != 1 {
		t.Errorf("committed offset %d, want 1: the message is not done", at)
	}

	// A program that knows them goes on where the other stopped.
	m := toyMachine()
	m.RulesVersion = 2
	m.Decode = func(value []byte) (codecs.Decoded, error) {
		return codecs.DecodeInventoryEvent(bytes.Replace(value, []byte(`"rules":2,`), nil, 1))
	}
	b.run(m)
	b.sums(map[string]int64{key[0]: 3, key[1]: 2})
}

func TestAPanicStopsThePartitionByName(t *testing.T) {
	b := newBench(t, 1)
	_, adjust := codecs.EncodeInventoryEvent(inventory.Adjust{Quantity: 1, Reason: "count"})
	b.put(toyLog, "k", adjust)
	g, _ := b.run(toyMachine())
	waitFor(t, g, toyLog+"/0 has stopped at offset 0: the machine panicked")
}

// waitFor waits until a group says that it waits for something that begins like this, and has more in it.
func waitFor(t *testing.T, g *Group, text string, more ...string) {
	t.Helper()
	meant := func(line string) bool {
		return strings.HasPrefix(line, text) && !slices.ContainsFunc(more, func(m string) bool { return !strings.Contains(line, m) })
	}
	ctx := within(t)
	for {
		g.mu.Lock()
		changed := g.changed
		g.mu.Unlock()
		for _, line := range g.Waiting() {
			if meant(line) {
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the group never said %q, but %q", text, g.Waiting())
		}
	}
}

// A log that is shorter than what the group has committed of it ends the group before it is a member: what is written to the
// log next would never be met.
func TestALogShorterThanWhatIsCommittedEndsTheGroup(t *testing.T) {
	b := newBench(t, 2)
	b.put(toyLog, "k", receive(1, ""))
	at := broker.TopicPartition{Topic: toyLog, Partition: 1}
	if err := b.conn.Commit(t.Context(), "toy", map[broker.TopicPartition]int64{at: 9}); err != nil {
		t.Fatal(err)
	}
	g := NewGroup(toyMachine(), Config{
		Conn: b.conn, Dir: b.dir, Partitions: b.partitions, Log: quiet(), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	done := make(chan error, 1)
	go func() { done <- g.Run(t.Context()) }()
	err := arrive(t, done, "end of the group")
	if !errors.Is(err, broker.ErrCut) || !strings.Contains(err.Error(), "has committed offset 9 of "+at.String()) {
		t.Errorf("the group ended with %v", err)
	}
	if members, err := b.conn.Members(t.Context(), "toy"); err != nil || len(members) > 0 {
		t.Errorf("the members are %q, %v", members, err)
	}
}
