package kafkaport

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
)

func TestWhatIsProducedIsRead(t *testing.T) {
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		for acks, options := range map[string][]kgo.Opt{
			"idempotent": nil,
			"acks 1":     {kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()},
			"acks 0":     {kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()},
		} {
			t.Run(name+", "+acks, func(t *testing.T) {
				t.Parallel()
				p := open(t, Limits{})
				values := numbered(strings.Repeat("compressible ", 100), 50)
				produce(t, p.client(append(options, kgo.ProducerBatchCompression(codec))...), orders, values...)
				got := consume(t, p.client(kgo.ConsumeTopics(orders)), len(values))
				var read []string
				for _, r := range got {
					read = append(read, string(r.Value))
					if kind := r.Attrs.TimestampType(); string(r.Key) != string(r.Value) || kind != 1 || r.LeaderEpoch != 0 {
						t.Fatalf("a record has key %q, a timestamp of type %d, epoch %d", r.Key, kind, r.LeaderEpoch)
					}
				}
				slices.Sort(values)
				if slices.Sort(read); !slices.Equal(read, values) {
					t.Errorf("%d records are read, %d were produced", len(read), len(values))
				}
			})
		}
	}
}

// TestARecordIsReadAsItWasProduced: nothing and empty are two things, and timestamps are the journal's.
func TestARecordIsReadAsItWasProduced(t *testing.T) {
	p := open(t, Limits{})
	sent := []*kgo.Record{
		{Topic: single, Value: []byte("no key")},
		{Topic: single, Key: []byte{}, Value: []byte{}},
		{Topic: single, Key: []byte("no value")},
		{Topic: single, Key: []byte("k"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}, {Key: "", Value: []byte{}}}},
	}
	if err := p.client().ProduceSync(t.Context(), sent...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	at := journal.Record{}
	records := consume(t, p.client(kgo.ConsumeTopics(single)), len(sent))
	for i, r := range records {
		if err := p.journal.Partition(single, 0).Read(t.Context(), r.Offset, r.Offset+1, journal.Durable, func(r journal.Record) error { at = r; return nil }); err != nil {
			t.Fatal(err)
		}
		if r.Offset != int64(i) || r.Timestamp.UnixMilli() != at.Time {
			t.Errorf("record %d is of %s at offset %d, the journal says %d", i, r.Timestamp, r.Offset, at.Time)
		}
		want := sent[i]
		if (r.Key == nil) != (want.Key == nil) || (r.Value == nil) != (want.Value == nil) || string(r.Key) != string(want.Key) || string(r.Value) != string(want.Value) {
			t.Errorf("record %d is %q=%q, %q=%q was sent", i, r.Key, r.Value, want.Key, want.Value)
		}
		for h := range want.Headers {
			if got := r.Headers[h]; got.Key != want.Headers[h].Key || string(got.Value) != string(want.Headers[h].Value) || (got.Value == nil) != (want.Headers[h].Value == nil) {
				t.Errorf("record %d has the header %q", i, got)
			}
		}
	}
}

// a relay passes bytes on between clients and a port, and may lose the answers to what is produced.
type relay struct {
	net.Listener
	to   string
	lose atomic.Int32 // so many answers
	lost atomic.Int32
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	r := &relay{Listener: listener, to: to}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go r.pass(conn)
		}
	}()
	return r
}

// pass passes on until one of both sides has gone, or an answer is to be lost.
func (r *relay) pass(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer to.Close()
	var produces sync.Map // correlation ids
	go func() {
		defer to.Close()
		for {
			frame, err := readWhole(from)
			if err != nil {
				return
			}
			if kmsg.Key(binary.BigEndian.Uint16(frame[4:])) == kmsg.Produce {
				produces.Store([4]byte(frame[8:]), true)
			}
			if _, err := to.Write(frame); err != nil {
				return
			}
		}
	}()
	for {
		frame, err := readWhole(to)
		if err != nil {
			return
		}
		if _, produced := produces.LoadAndDelete([4]byte(frame[4:])); produced && r.lose.Load() > 0 {
			r.lose.Add(-1)
			r.lost.Add(1)
			return
		}
		if _, err := from.Write(frame); err != nil {
			return
		}
	}
}

// readWhole reads a request or an answer with its length.
func readWhole(from io.Reader) ([]byte, error) {
	frame := make([]byte, 4)
	if _, err := io.ReadFull(from, frame); err != nil {
		return nil, err
	}
	n := int(frame[0])<<24 | int(frame[1])<<16 | int(frame[2])<<8 | int(frame[3])
	frame = append(frame, make([]byte, n)...)
	_, err := io.ReadFull(from, frame[4:])
	return frame, err
}

// openBehindARelay opens a port that tells clients to come through a relay.
func openBehindARelay(t *testing.T) (*port, *relay) {
	t.Helper()
	p := open(t, Limits{})
	r := newRelay(t, p.address)
	p.server.mu.Lock()
	p.server.advertise = r.Addr().String()
	p.server.mu.Unlock()
	return p, r
}

// TestARetryCountsOnce when the answer was lost, and the client can't know that it was taken.
func TestARetryCountsOnce(t *testing.T) {
	p, relay := openBehindARelay(t)
	client := clientAt(t, relay.Addr().String(), kgo.ProducerLinger(0))
	const lost, total = 3, 60
	for i, v := range numbered("v", total) {
		if i%20 == 10 {
			relay.lose.Store(1)
		}
		produce(t, client, single, v)
	}
	if got := relay.lost.Load(); got != lost {
		t.Fatalf("%d answers were lost", got)
	}
	if got := p.ends(single); got[0] != total {
		t.Errorf("the log ends at %d, %d records were produced", got[0], total)
	}
	for i, r := range consume(t, p.client(kgo.ConsumeTopics(single)), total) {
		if want := numbered("v", total)[i]; string(r.Value) != want {
			t.Fatalf("record %d is %s, expected %s", i, r.Value, want)
		}
	}
}

// TestARetryOverARestartCountsOnce: what is known of producers is the journal's.
func TestARetryOverARestartCountsOnce(t *testing.T) {
	p, relay := openBehindARelay(t)
	client := clientAt(t, relay.Addr().String(), kgo.ProducerLinger(0))
	produce(t, client, single, "first")
	relay.lose.Store(1)
	done := make(chan error, 1)
	client.Produce(t.Context(), &kgo.Record{Topic: single, Value: []byte("second")}, func(_ *kgo.Record, err error) { done <- err })
	for p.ends(single)[0] < 2 {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	p.close()
	again := openOn(t, p.journal, p.address, Limits{})
	again.server.mu.Lock()
	again.server.advertise = relay.Addr().String()
	again.server.mu.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	produce(t, client, single, "third")
	if got := p.ends(single); got[0] != 3 {
		t.Errorf("the log ends at %d, 3 records were produced", got[0])
	}
}

func TestWhatMayNotBeProduced(t *testing.T) {
	p := open(t, Limits{})
	for topic, want := range map[string]*kerr.Error{table: kerr.TopicAuthorizationFailed, letters: kerr.TopicAuthorizationFailed, "unheard-of": kerr.UnknownTopicOrPartition} {
		err := p.client(kgo.UnknownTopicRetries(0)).ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, expected %v", topic, err, want)
		}
	}
	client := p.client(kgo.TransactionalID("t"))
	err := client.BeginTransaction()
	if err == nil {
		err = client.ProduceSync(t.Context(), &kgo.Record{Topic: single, Value: []byte("v")}).FirstErr()
	}
	if !errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		t.Errorf("a transaction: %v", err)
	}
	for _, topic := range []string{table, letters, single, orders} {
		for n, end := range p.ends(topic) {
			if end != 0 {
				t.Errorf("%s/%d ends at %d", topic, n, end)
			}
		}
	}
}
