package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// stopped is a clock that stands still.
func stopped(at int64) Option { return clock(func() time.Time { return time.UnixMilli(at) }) }

var wildTimes = []time.Time{time.UnixMilli(1), time.Now().AddDate(100, 0, 0), time.UnixMilli(-5), time.Now()}

// The times that producers give are wild, in one batch, with every codec; those that readers see are the broker's.
func TestRecordsHaveTheBrokersTime(t *testing.T) {
	const at = 1_700_000_000_123
	for name, codec := range map[string]kgo.CompressionCodec{
		"plain": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := open(t, dir, stopped(at))
			ensure(t, e.Connection(), 1, Topic{"orders", Log})
			produceWild(t, e.Connection(), codec)
			wantTimes(t, e.Connection(), at)
			closeBroker(t, e)
			wantTimes(t, open(t, dir).Connection(), at)
		})
	}
}

func produceWild(t *testing.T, c Connection, codec kgo.CompressionCodec) {
	t.Helper()
	cl := client(t, c, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(time.Minute))
	defer cl.Close()
	for i, at := range wildTimes {
		r := &kgo.Record{Topic: "orders", Key: []byte("k"), Timestamp: at, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
		if r.Value = []byte(fmt.Sprint("value ", i)); i == 1 {
			r.Value = nil
		}
		cl.Produce(t.Context(), r, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantTimes reads what produceWild wrote with both of the clients that Stockflow has.
func wantTimes(t *testing.T, c Connection, at int64) {
	t.Helper()
	for i, r := range consume(t, c, "orders", len(wildTimes)) {
		if r.Timestamp.UnixMilli() != at {
			t.Errorf("kgo: record %d is of %d, want %d", i, r.Timestamp.UnixMilli(), at)
		}
		whole := string(r.Key) == "k" && len(r.Headers) == 1 && string(r.Headers[0].Value) == "v"
		if !whole || i == 0 && string(r.Value) != "value 0" || i == 1 && r.Value != nil {
			t.Errorf("kgo: record %d is %+v", i, r)
		}
	}
	for i, m := range consumeSarama(t, c, "orders", len(wildTimes)) {
		if m.Timestamp.UnixMilli() != at {
			t.Errorf("sarama: record %d is of %d, want %d", i, m.Timestamp.UnixMilli(), at)
		}
	}
}

func consumeSarama(t *testing.T, c Connection, topic string, n int) (messages []*sarama.ConsumerMessage) {
	t.Helper()
	consumer, err := sarama.NewConsumer(c.Brokers, c.Sarama("test"))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	pc, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for len(messages) < n {
		select {
		case m := <-pc.Messages():
			messages = append(messages, m)
		case err := <-pc.Errors():
			t.Fatal(err)
		case <-time.After(soon):
			t.Fatalf("%d of %d messages", len(messages), n)
		}
	}
	return messages
}

// A clock that was set back doesn't take the log back with it, within a run or over a restart.
func TestTimeNeverGoesBack(t *testing.T) {
	dir, now := t.TempDir(), int64(2_000)
	backAndForth := clock(func() time.Time { return time.UnixMilli(now) })
	e := open(t, dir, backAndForth)
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	produce(t, e.Connection(), "orders", "at 2000")
	now = 1_000
	produce(t, e.Connection(), "orders", "at 1000")
	closeBroker(t, e)

	now = 500
	e = open(t, dir, backAndForth)
	produce(t, e.Connection(), "orders", "at 500")
	now = 3_000
	produce(t, e.Connection(), "orders", "at 3000")
	var times []int64
	for _, r := range consume(t, e.Connection(), "orders", 4) {
		times = append(times, r.Timestamp.UnixMilli())
	}
	if want := []int64{2_000, 2_000, 2_000, 3_000}; !slices.Equal(times, want) {
		t.Errorf("times %v, want %v", times, want)
	}
}

// batch returns a batch as a client would send it, with the attributes given.
func batch(attributes int16, records ...kmsg.Record) []byte {
	b := kmsg.RecordBatch{Magic: 2, Attributes: attributes, LastOffsetDelta: int32(len(records)) - 1,
		FirstTimestamp: 7, MaxTimestamp: 9, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(records))}
	for i, r := range records {
		r.OffsetDelta = int32(i)
		r.Length = int32(len(r.AppendTo(nil)) - 1) // the length itself is one byte, in records as small as these
		b.Records = r.AppendTo(b.Records)
	}
	return seal(b.AppendTo(nil))
}

// seal makes the length and the checksum right.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[batchLength:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[batchCRC:], checksum(b))
	return b
}

func produceBatch(t *testing.T, c Connection, b []byte) error {
	t.Helper()
	return kerr.ErrorForCode(answerTo(t, olderClient(t, c), b).ErrorCode)
}

// olderClient is one that names topics in what it produces; later versions send their ids.
func olderClient(t *testing.T, c Connection) *kgo.Client {
	t.Helper()
	return client(t, c, kgo.MaxVersions(kversion.V2_8_0()))
}

func answerTo(t *testing.T, older *kgo.Client, b []byte) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = b
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = "orders", append(topic.Partitions, p)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, 1000, append(req.Topics, topic)
	resp, err := older.Broker(0).Request(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

// The bit that the server can't deal with: let through, it would cost the whole log at the next start.
func TestLogAppendTimeBitOfAClient(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, stopped(1_000))
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	if err := produceBatch(t, e.Connection(), batch(bitLogAppendTime, kmsg.Record{Value: []byte("a")})); err != nil {
		t.Fatal(err)
	}
	closeBroker(t, e)
	e = open(t, dir, stopped(2_000))
	if r := consume(t, e.Connection(), "orders", 1)[0]; string(r.Value) != "a" || r.Timestamp.UnixMilli() != 1_000 {
		t.Errorf("record is %q of %d", r.Value, r.Timestamp.UnixMilli())
	}
}

func TestDamagedBatchesAreRefused(t *testing.T) {
	good := func() []byte { return batch(0, kmsg.Record{Value: []byte("a")}, kmsg.Record{Value: []byte("b")}) }
	last := len(good()) - 1
	e := open(t, t.TempDir())
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	for name, b := range map[string][]byte{
		"checksum is wrong":           append(good()[:last], 'x'),
		"record longer than batch":    seal(poke(good(), batchRecords, 0x7e)),
		"record shorter than itself":  seal(poke(good(), batchRecords, 0x02)),
		"offset twice":                seal(poke(good(), batchRecords+3, 2)),
		"value longer than record":    seal(poke(good(), last-2, 0x7e)),
		"headers that aren't there":   seal(poke(good(), last, 2)),
		"a negative number of them":   seal(poke(good(), last, 1)),
		"bytes behind the last":       seal(append(good(), 0)),
		"more records than it counts": seal(poke(good(), batchCount+3, 1)),
		"no records":                  batch(0),
		"not compressed as it says":   seal(poke(good(), batchAttributes+1, 2)),
		"an unknown codec":            seal(poke(good(), batchAttributes+1, 7)),
		"not a batch":                 []byte("not a batch"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := produceBatch(t, e.Connection(), b); !errors.Is(err, kerr.CorruptMessage) {
				t.Errorf("%v, want %v", err, kerr.CorruptMessage)
			}
		})
	}
	if err := produceBatch(t, e.Connection(), good()); err != nil {
		t.Errorf("the good one: %v", err)
	}
	wantValues(t, e.Connection(), "orders", "a", "b")
}

func poke(b []byte, at int, v byte) []byte {
	b[at] = v
	return b
}

// The control that stamps is put in place anew now and then; no record may slip by.
func TestEveryRecordIsStamped(t *testing.T) {
	e := open(t, t.TempDir(), stopped(1_000))
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	cl := client(t, e.Connection(), kgo.ProducerBatchMaxBytes(1<<10), kgo.MaxBufferedRecords(1<<20))
	const n = 3*renewControl + 1
	for range n { // two records don't fit a batch, and a batch is a request, or nearly
		r := &kgo.Record{Topic: "orders", Key: []byte("k"), Value: make([]byte, 600), Timestamp: time.UnixMilli(5)}
		cl.Produce(t.Context(), r, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range consume(t, e.Connection(), "orders", n) {
		if r.Timestamp.UnixMilli() != 1_000 {
			t.Fatalf("offset %d is of %d", r.Offset, r.Timestamp.UnixMilli())
		}
	}
}

func FuzzStampBatch(f *testing.F) {
	f.Add(batch(0, kmsg.Record{Key: []byte("k"), Value: []byte("a")}, kmsg.Record{TimestampDelta64: 3}))
	f.Add(batch(bitLogAppendTime, kmsg.Record{Headers: []kmsg.Header{{Key: "h"}}}))
	f.Add(batch(2, kmsg.Record{Value: []byte("not snappy")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= batchRecords { // or the fuzzer would never get past the checksum
			b = seal(b)
		}
		out := stampBatch(slices.Clone(b), 1_000)
		if again := stampBatch(slices.Clone(out), 1_000); !slices.Equal(out, again) {
			t.Errorf("stamped twice %x isn't stamped once %x", again, out)
		}
	})
}

func BenchmarkStampBatch(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		records := make([]kmsg.Record, n)
		for i := range records {
			records[i].Value = make([]byte, 50)
		}
		in := batchOf(records)
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				stampBatch(in, 1_000)
			}
		})
	}
}

// batchOf is batch for records of any size.
func batchOf(records []kmsg.Record) []byte {
	var all []byte
	for i, r := range records {
		r.OffsetDelta = int32(i)
		body := r.AppendTo(nil)[1:]
		all = binary.AppendVarint(all, int64(len(body)))
		all = append(all, body...)
	}
	b := batch(0)
	binary.BigEndian.PutUint32(b[batchCount:], uint32(len(records)))
	return seal(append(b, all...))
}
