package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// rawBatch is a batch of n records that decompresses to whatever a producer likes.
func rawBatch(by Codec, compressed []byte, n int32) []byte {
	head := kmsg.NewRecordBatch()
	head.Magic, head.Attributes, head.NumRecords, head.LastOffsetDelta = 2, int16(by), n, n-1
	head.ProducerID, head.ProducerEpoch, head.FirstSequence = -1, -1, -1
	head.FirstTimestamp, head.MaxTimestamp = 1, 1
	head.Records = compressed
	b := head.AppendTo(nil)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// rawRecord is a record of a batch, at its place.
func rawRecord(index int32, value []byte, headers int) []byte {
	r := []byte{0, 0}
	r = kbin.AppendVarint(r, index)
	r = kbin.AppendVarintBytes(r, []byte("key"))
	r = kbin.AppendVarintBytes(r, value)
	r = kbin.AppendVarint(r, int32(headers))
	for range headers {
		r = append(r, 0, 1)
	}
	return append(kbin.AppendVarint(nil, int32(len(r))), r...)
}

// bombs are batches of a few kilobytes that would take a lot of memory.
func bombs(t *testing.T) map[string][]byte {
	t.Helper()
	zeros := rawRecord(0, make([]byte, LargestBatch+1), 0)
	all := map[string][]byte{
		"damaged":       rawBatch(CodecGzip, []byte("no gzip"), 3),
		"cut off":       rawBatch(CodecGzip, compress(t, CodecGzip, zeros[:100]), 1),
		"small records": rawBatch(CodecZstd, compress(t, CodecZstd, slices.Concat(slices.Repeat([][]byte{rawRecord(0, nil, 0)}, 1<<20)...)), 1<<20),
		"headers":       rawBatch(CodecZstd, compress(t, CodecZstd, rawRecord(0, nil, 2<<20)), 1),
		"nested":        rawBatch(CodecZstd, slices.Repeat(compress(t, CodecZstd, zeros[:LargestBatch/2]), 100), 1),
	}
	for by := CodecGzip; by <= CodecZstd; by++ {
		all[fmt.Sprintf("codec %d", by)] = rawBatch(by, compress(t, by, zeros), 1)
	}
	return all
}

// asSent connects to a fake Kafka that leaves batches as they were sent, as Kafka does.
func asSent(t *testing.T) Connection {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return Connection{Brokers: cluster.ListenAddrs()}
}

// send produces a batch to partition 0 of a topic, as it is.
func send(t *testing.T, c Connection, topic string, batch []byte) {
	t.Helper()
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batch
	to := kmsg.NewProduceRequestTopic()
	to.Topic, to.Partitions = topic, []kmsg.ProduceRequestTopicPartition{p}
	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis, request.Topics = -1, 10_000, []kmsg.ProduceRequestTopic{to}
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.Produce), 12) // the last that names its topics
	answer, err := request.RequestWith(t.Context(), client(t, c, kgo.MaxVersions(versions)))
	if err == nil {
		err = kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestABombIsPassed by all who read, with a record in its place, and with what is around it.
func TestABombIsPassed(t *testing.T) {
	for name, bomb := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			c := asSent(t)
			ensure(t, c, 1, Topic{Name: "log"})
			produce(t, c, "log", "before")
			send(t, c, "log", bomb)
			produce(t, c, "log", "after")
			ends, err := c.Ends(t.Context(), "log")
			if err != nil {
				t.Fatal(err)
			}
			last := ends[TopicPartition{"log", 0}] - 2
			var got []string
			each := func(r *kgo.Record) error {
				got = append(got, string(r.Value))
				if u := UnreadableOf(r); u != nil {
					got[len(got)-1] = "unreadable"
					if u.First != 1 || u.Last != last || r.Offset != last {
						t.Errorf("it is %+v, at offset %d, and ends at %d", u, r.Offset, last)
					}
				}
				return nil
			}
			want := []string{"before", "unreadable", "after"}
			if err := c.Read(t.Context(), "log", 0, 0, last+2, each); err != nil || !slices.Equal(got, want) {
				t.Errorf("read are %q, %v", got, err)
			}
			got = nil
			f, err := c.Follow(map[string]map[int32]int64{"log": {0: 0}})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for len(got) < 3 {
				batches, err := f.Poll(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, b := range batches {
					for _, r := range b.Records {
						_ = each(r)
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("followed are %q", got)
			}
		})
	}
}

// TestManyBatchesOfAnAnswer that are legal take no more memory together than an answer may, and are all read.
func TestManyBatchesOfAnAnswer(t *testing.T) {
	const batches, size = 60, 15 << 20
	c := asSent(t)
	ensure(t, c, 1, Topic{Name: "log"})
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	batch := rawBatch(CodecZstd, w.EncodeAll(rawRecord(0, make([]byte, size), 0), nil), 1)
	for range batches {
		send(t, c, "log", batch)
	}
	most := heapWhile(t, func() {
		n := 0
		err := c.Read(t.Context(), "log", 0, 0, batches, func(r *kgo.Record) error {
			if n++; len(r.Value) != size {
				t.Errorf("a value has %d bytes: %v", len(r.Value), UnreadableOf(r))
			}
			return nil
		})
		if err != nil || n != batches {
			t.Errorf("%d batches are read, %v", n, err)
		}
	})
	t.Logf("%d batches of %d bytes, which decompress to %d MiB, took %d MiB", batches, len(batch), batches*size>>20, most>>20)
	if most > 500<<20 {
		t.Errorf("%d MiB were taken", most>>20)
	}
}

// heapWhile returns the most memory that was in use while f ran.
func heapWhile(t *testing.T, f func()) uint64 {
	t.Helper()
	var most atomic.Uint64
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse))
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(done)
	<-stopped
	return most.Load()
}

// TestOrdinaryRecordsAreNotUnreadable, whatever is in them.
func TestOrdinaryRecordsAreNotUnreadable(t *testing.T) {
	u := &Unreadable{TopicPartition{"log", 0}, 3, 5}
	if UnreadableOf(&kgo.Record{Value: []byte(u.Error())}) != nil || UnreadableOf(u.standIn()) != u {
		t.Error("a record is taken for a batch, or a batch for a record")
	}
	if _, err := costOf(rawRecord(0, []byte("x"), 1000)); err != nil {
		t.Error(err)
	}
	if _, err := costOf(rawRecord(0, nil, 2<<20)); !errors.Is(err, ErrTooMuch) {
		t.Errorf("two million headers: %v", err)
	}
}
