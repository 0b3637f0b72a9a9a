package engine

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/inventory"
)

// adjust is a message at which the toy machine panics.
func adjust() []byte {
	_, value := codecs.EncodeInventoryEvent(inventory.Adjust{Quantity: 1, Reason: "count"})
	return value
}

// request asks for a message of partition 0 to be skipped.
func (b *bench) request(offset int64) {
	b.t.Helper()
	r, err := NewRedriver(b.conn, b.partitions)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	if err := r.RequestSkip(b.t.Context(), toyLog, 0, offset); err != nil {
		b.t.Fatal(err)
	}
}

// skippedLetters returns the letters of messages that were skipped, once there are so many.
func (b *bench) skippedLetters(n int) (all []codecs.DeadLetter) {
	b.t.Helper()
	b.follow(DeadLetters, func(r *kgo.Record) bool {
		if l, err := codecs.DecodeDeadLetter(r.Value); err == nil && l.IsMessage() {
			all = append(all, l)
		}
		return len(all) == n
	})
	return all
}

// TestAMessageIsSkipped once the partition has stopped at it, and not before; what is behind it counts once. A life that begins
// anew, with a program that could take the message, leaves it out too.
func TestAMessageIsSkipped(t *testing.T) {
	b := newBench(t, 1)
	b.request(0) // which doesn't stop the partition
	b.put(toyLog, "k", receive(1, ""))
	b.put(toyLog, "k", adjust(), header("note", "x"))
	b.put(toyLog, "k", receive(10, ""))
	g, stop := b.run(toyMachine())
	waitFor(t, g, toyLog+"/0 has stopped at offset 1: the machine panicked")
	b.request(1)
	b.sums(map[string]int64{"k": 11})
	if err := g.WaitReady(within(t)); err != nil {
		t.Errorf("the group waits for %q", g.Waiting())
	}
	l := b.skippedLetters(1)[0]
	if l.Offset != 1 || l.Skip.Asked == 0 || string(l.Key) != "k" || !bytes.Equal(l.Value, adjust()) || len(l.Headers) != 1 || !strings.Contains(l.Reason, "panicked") {
		t.Errorf("the letter is %+v", l)
	}
	stop()

	b.dir = t.TempDir()
	if err := b.conn.Commit(t.Context(), "toy", map[broker.TopicPartition]int64{{Topic: toyLog}: 0}); err != nil {
		t.Fatal(err)
	}
	able := toyMachine()
	able.Apply = func(s inventory.State, key string, at int64, d codecs.Decoded) Result[inventory.State] {
		if _, ok := d.Event.(inventory.Adjust); ok {
			s.Received += 1000
			return Result[inventory.State]{State: s}
		}
		return toyMachine().Apply(s, key, at, d)
	}
	b.put(toyLog, "end", receive(1, ""))
	b.run(able)
	b.sums(map[string]int64{"k": 11, "end": 1})
	if again := b.skippedLetters(2)[1]; again.Offset != 1 || again.Skip == nil {
		t.Errorf("the second letter is %+v", again)
	}
}

// swollen is a compressor whose batches decompress to more than anybody may.
type swollen struct{}

func (swollen) Compress(dst *bytes.Buffer, _ []byte, _ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	w := gzip.NewWriter(dst)
	_, _ = w.Write(make([]byte, broker.LargestBatch+1)) // to memory
	_ = w.Close()
	return dst.Bytes(), kgo.CodecGzip
}

// TestABombStopsItsPartitionByName alone, and is skipped; the fold of the log leaves it out.
func TestABombStopsItsPartitionByName(t *testing.T) {
	b := newBenchAt(t, asSent(t), 1)
	b.put(toyLog, "k", receive(1, ""))
	good := b.client
	bad, err := b.conn.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.WithCompressor(swollen{}))
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	b.client = bad
	b.put(toyLog, "k", make([]byte, 100<<10)) // or else it is rather not compressed
	b.client = good
	b.put(toyLog, "k", receive(10, ""))
	g, _ := b.run(toyMachine())
	waitFor(t, g, toyLog+"/0 has stopped at offset 1: the batch of offsets 1 to 1 can't be read")
	b.request(1)
	b.sums(map[string]int64{"k": 11})
	l := b.skippedLetters(1)[0]
	if l.Offset != 1 || l.At != l.Skip.Asked || !l.NoValue || len(l.Key) > 0 || !strings.Contains(l.Reason, "can't be read") {
		t.Errorf("the letter is %+v", l)
	}
}

// asSent connects to a fake Kafka that leaves batches as they were sent.
func asSent(t *testing.T) broker.Connection {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return broker.Connection{Brokers: cluster.ListenAddrs()}
}

// TestAMessageTooLargeForALetter becomes one without most of it, and the stream goes on.
func TestAMessageTooLargeForALetter(t *testing.T) {
	huge := bytes.Repeat([]byte("\xff"), maxDeadLetter)
	key := strings.Repeat("k", 2000)
	headers := []codecs.Header{{Key: "large", Value: huge[:maxCutHeaders]}, {Key: "small", Value: []byte("x")}}
	cutKey, value := x(codecs.DeadLetter{Topic: toyLog, Offset: 7, Key: []byte(key), Value: huge, Headers: headers, Reason: "why"})
	l, err := codecs.DecodeDeadLetter(value)
	sum := sha256.Sum256(huge)
	if err != nil || len(value) > maxDeadLetter || cutKey != key[:codecs.DeadLetterBytes] || string(l.Key) != cutKey || !bytes.Equal(l.Value, huge[:codecs.DeadLetterBytes]) {
		t.Fatalf("%d bytes with the key %.9q: %v", len(value), l.Key, err)
	}
	if l.Cut == nil || l.Cut.Size != maxDeadLetter || !bytes.Equal(l.Cut.SHA256, sum[:]) || l.Cut.Headers != 1 || len(l.Headers) != 1 || l.Headers[0].Key != "small" {
		t.Errorf("it says %+v, with the headers %+.20q", l.Cut, l.Headers)
	}
	if _, value := x(codecs.DeadLetter{Value: huge[:maxDeadLetter/2]}); len(value) < maxDeadLetter/2 {
		t.Error("one that isn't too large is cut")
	}
}

// hanging is a broker that doesn't say where logs end.
type hanging struct {
	broker.Broker
	asked chan struct{}
}

func (h hanging) Ends(ctx context.Context, _ ...string) (map[broker.TopicPartition]int64, error) {
	close(h.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestAReadThatHangsHoldsUpNoMessage: one partition has stopped and looks whether it may go on, while others work.
func TestAReadThatHangsHoldsUpNoMessage(t *testing.T) {
	h := hanging{asked: make(chan struct{})}
	s := NewSkips(h)
	s.include(&kgo.Record{Value: codecs.EncodeDeadLetter(codecs.DeadLetter{Topic: toyLog, Offset: 3, Skip: &codecs.Skip{Asked: 1, Done: true}})})
	ctx, stop := context.WithCancel(t.Context())
	read := make(chan error)
	go func() { read <- s.read(ctx, 0) }()
	<-h.asked
	found := make(chan bool, 1)
	go func() {
		_, asked := s.find(toyLog, 0, 3)
		found <- asked
	}()
	if !arrive(t, found, "answer beside a read that hangs") {
		t.Error("a message that was skipped is not known")
	}
	stop()
	if err := <-read; err == nil {
		t.Error("it was read")
	}
}
