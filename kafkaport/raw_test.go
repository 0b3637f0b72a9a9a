package kafkaport

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// a raw client says what no client library does.
type raw struct {
	t    testing.TB
	conn net.Conn
	n    int32 // correlation id
}

func (p *port) raw() *raw {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	r := &raw{t: p.t, conn: conn}
	r.within(time.Minute)
	return r
}

// within bounds all that follows.
func (r *raw) within(d time.Duration) {
	if err := r.conn.SetDeadline(time.Now().Add(d)); err != nil {
		r.t.Fatal(err)
	}
}

// encode writes a request down as clients do.
func encode(q kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, q, correlation)
}

// send sends a request and doesn't wait for an answer.
func (r *raw) send(q kmsg.Request) {
	r.t.Helper()
	r.n++
	if _, err := r.conn.Write(encode(q, r.n)); err != nil {
		r.t.Fatal(err)
	}
}

// receive reads the answer to a request.
func (r *raw) receive(q kmsg.Request) (kmsg.Response, error) {
	frame, err := readWhole(r.conn)
	if err != nil {
		return nil, err
	}
	b := kbin.Reader{Src: frame[4:]}
	if got := b.Int32(); got != r.n {
		return nil, fmt.Errorf("an answer to request %d, expected one to %d", got, r.n)
	}
	answer := q.ResponseKind()
	if answer.IsFlexible() && answer.Key() != kmsg.ApiVersions.Int16() {
		kmsg.SkipTags(&b)
	}
	return answer, answer.ReadFrom(b.Src)
}

// ask sends a request and returns its answer, which there must be.
func ask[A kmsg.Response](r *raw, q kmsg.Request) A {
	r.t.Helper()
	r.send(q)
	answer, err := r.receive(q)
	if err != nil {
		r.t.Fatalf("%s version %d: %v", kmsg.NameForKey(q.Key()), q.GetVersion(), err)
	}
	return answer.(A)
}

// isClosed reports whether the port closes the connection, saying nothing.
func (r *raw) isClosed() bool {
	r.t.Helper()
	_, err := readWhole(r.conn)
	if isTimeout(err) {
		r.t.Fatal("the connection stays open")
	}
	return err != nil
}

// a batch of the tests, with the fields that one may want to be wrong.
type sentBatch struct {
	kmsg.RecordBatch
	plain []byte
}

// newBatch returns a batch with values, of no producer.
func newBatch(values ...string) *sentBatch {
	b := &sentBatch{RecordBatch: kmsg.NewRecordBatch()}
	b.Magic, b.ProducerID, b.ProducerEpoch, b.FirstSequence = magicV2, -1, -1, -1
	b.NumRecords, b.LastOffsetDelta = int32(len(values)), int32(len(values)-1)
	for i, v := range values {
		body := append([]byte{0, 0}, kbin.AppendVarint(nil, int32(i))...)
		body = kbin.AppendVarintBytes(body, nil)
		body = kbin.AppendVarintBytes(body, []byte(v))
		body = append(body, 0)
		b.plain = append(kbin.AppendVarint(b.plain, int32(len(body))), body...)
	}
	b.Records = b.plain
	return b
}

// from makes it one of an idempotent producer.
func (b *sentBatch) from(id int64, epoch int16, sequence int32) *sentBatch {
	b.ProducerID, b.ProducerEpoch, b.FirstSequence = id, epoch, sequence
	return b
}

// with changes it.
func (b *sentBatch) with(change func(*sentBatch)) *sentBatch {
	change(b)
	return b
}

// bytes returns it with the right length and checksum.
func (b *sentBatch) bytes() []byte {
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[batchCRCAt:], crc32.Checksum(out[batchCRCFrom:], castagnoli))
	return out
}

// produceRequest has one partition.
func produceRequest(version int16, topic string, n int32, batch []byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis = version, -1, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = n, batch
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	return q
}

// produceRaw sends a batch to the log with one partition, and returns what became of it.
func (r *raw) produceRaw(batch []byte) kmsg.ProduceResponseTopicPartition {
	r.t.Helper()
	return ask[*kmsg.ProduceResponse](r, produceRequest(9, single, 0, batch)).Topics[0].Partitions[0]
}
