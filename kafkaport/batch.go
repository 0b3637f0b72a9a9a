package kafkaport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/journal"
)

// A batch is what a producer sent for one partition.
type batch struct {
	records    []journal.Record // they share memory with the request, or with what it was decompressed to
	idempotent bool
	producer   journal.ProducerBatch // of an idempotent producer
}

// Where things stand in a batch. The first 17 bytes of older formats are alike as far as magic goes.
const (
	batchMagicAt = 16
	batchCRCAt   = 17
	batchCRCFrom = 21
	batchHeader  = 61
	magicV2      = 2
)

// Attributes of a batch, beside the codec.
const (
	attributeCodec         = 0x07
	attributeLogAppendTime = 0x08
	attributeTransactional = 0x10
	attributeControl       = 0x20
)

// What a record takes in memory beside its bytes, and a header, once those have them who read them.
const (
	recordCost = 128
	headerCost = 40
)

// maxHeaders is how many one record may have.
const maxHeaders = 1_000

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// decompressedCost is what a batch may take beside the request that it came in.
func decompressedCost(size, records int) int64 { return int64(size) + int64(records)*recordCost }

// decodeBatch decodes what a client sent for a partition, which is one batch of the second format. What it takes beside b is
// waited for, and given back by release. The error is one of Kafka's.
func (s *Server) decodeBatch(ctx context.Context, b []byte) (decoded batch, release func(), err error) {
	head, err := s.checkBatch(b)
	if err != nil {
		return batch{}, nil, err
	}
	by, size := broker.Codec(head.Attributes&attributeCodec), 0
	if by != broker.CodecNone {
		size = s.limits.Batch
	}
	cost := decompressedCost(size, int(head.NumRecords))
	if err := s.decompressed.Acquire(ctx, cost); err != nil {
		return batch{}, nil, refusal(kerr.RequestTimedOut, "the server has no memory for it")
	}
	release = func() { s.decompressed.Release(cost) }
	plain, err := broker.Decompress(head.Records, by, s.limits.Batch)
	if err == nil {
		decoded.records, err = decodeRecords(plain, int(head.NumRecords))
	}
	if err != nil {
		release()
		return batch{}, nil, invalidBatch(err)
	}
	if head.ProducerID >= 0 {
		decoded.idempotent = true
		decoded.producer = journal.ProducerBatch{ID: head.ProducerID, Epoch: head.ProducerEpoch, Sequence: head.FirstSequence}
	}
	return decoded, release, nil
}

// invalidBatch is what a client is told of a batch that can't be decoded.
func invalidBatch(err error) error {
	if errors.Is(err, broker.ErrTooMuch) {
		return refusal(kerr.MessageTooLarge, "the batch "+err.Error())
	}
	return refusal(kerr.InvalidRecord, err.Error())
}

// checkBatch checks all that a batch says of itself, before anything is decompressed.
func (s *Server) checkBatch(b []byte) (head kmsg.RecordBatch, err error) {
	if len(b) <= batchMagicAt {
		return head, refusal(kerr.InvalidRecord, "a partition without a batch")
	}
	if b[batchMagicAt] < magicV2 {
		return head, refusal(kerr.UnsupportedForMessageFormat, "only record batches of format 2 are taken")
	}
	if err := head.ReadFrom(b); err != nil || len(b) < batchHeader {
		return head, refusal(kerr.CorruptMessage, "the batch ends too soon")
	}
	if int64(head.Length) != int64(len(b)-12) {
		return head, refusal(kerr.InvalidRecord, "a partition takes exactly one batch, of the length that it says")
	}
	if uint32(head.CRC) != crc32.Checksum(b[batchCRCFrom:], castagnoli) {
		return head, refusal(kerr.CorruptMessage, "the checksum of the batch is wrong")
	}
	return head, s.checkHead(&head)
}

// checkHead checks what the checksum has shown to be as the client wrote it.
func (s *Server) checkHead(head *kmsg.RecordBatch) error {
	switch {
	case head.Magic != magicV2:
		return refusal(kerr.UnsupportedForMessageFormat, "only record batches of format 2 are taken")
	case head.Attributes&attributeControl != 0:
		return refusal(kerr.InvalidRecord, "control batches are the broker's")
	case head.Attributes&attributeTransactional != 0:
		return refusal(kerr.TransactionalIDAuthorizationFailed, "there are no transactions here")
	case head.NumRecords <= 0:
		return refusal(kerr.InvalidRecord, "the batch has no records")
	case int(head.NumRecords) > s.limits.Records:
		return refusal(kerr.MessageTooLarge, fmt.Sprintf("a batch may have %d records, it has %d", s.limits.Records, head.NumRecords))
	case head.LastOffsetDelta != head.NumRecords-1:
		return refusal(kerr.InvalidRecord, "the last offset of the batch isn't that of its last record")
	case head.ProducerID >= 0 && (head.FirstSequence < 0 || head.ProducerEpoch < 0):
		return refusal(kerr.InvalidRecord, "a batch of an idempotent producer has a sequence and an epoch")
	}
	return nil
}

// decodeRecords decodes exactly n records.
func decodeRecords(b []byte, n int) ([]journal.Record, error) {
	in := kbin.Reader{Src: b}
	records := make([]journal.Record, 0, n)
	headers := 0
	for i := range n {
		one := kbin.Reader{Src: in.Span(int(in.Varint()))}
		r, err := decodeRecord(&one, i)
		if !in.Ok() || err != nil {
			return nil, fmt.Errorf("record %d can't be decoded", i)
		}
		if headers += r.Headers.Len(); headers > maxHeaders && headers*headerCost > n*recordCost+len(b) {
			return nil, errors.New("the batch has too many headers")
		}
		records = append(records, r)
	}
	if len(in.Src) > 0 {
		return nil, fmt.Errorf("%d bytes behind the last record", len(in.Src))
	}
	return records, nil
}

func decodeRecord(b *kbin.Reader, index int) (r journal.Record, err error) {
	b.Int8()    // attributes, of which there are none yet
	b.Varlong() // the client's clock, which isn't gone by
	delta := b.Varint()
	r.Key, r.Value = b.VarintBytes(), b.VarintBytes()
	n := int(b.Varint())
	if !b.Ok() || int(delta) != index || n < 0 || n > maxHeaders {
		return r, errMalformed
	}
	for range n {
		key := b.VarintBytes()
		value := b.VarintBytes()
		if !b.Ok() || key == nil {
			return r, errMalformed
		}
		r.Headers = r.Headers.With(string(key), value)
	}
	if len(b.Src) > 0 {
		return r, errMalformed
	}
	return r, nil
}

// appendBatch appends records as one uncompressed batch. They were appended in the same millisecond, which is the time of
// all of them.
func appendBatch(dst []byte, records []journal.Record) []byte {
	first, last := &records[0], &records[len(records)-1]
	head := kmsg.NewRecordBatch()
	head.FirstOffset, head.LastOffsetDelta = first.Offset, int32(last.Offset-first.Offset)
	head.Magic, head.Attributes, head.NumRecords = magicV2, attributeLogAppendTime, int32(len(records))
	head.FirstTimestamp, head.MaxTimestamp = first.Time, first.Time
	head.ProducerID, head.ProducerEpoch, head.FirstSequence = -1, -1, -1
	at := len(dst)
	dst = head.AppendTo(dst)
	for i := range records {
		dst = appendRecord(dst, &records[i], first.Offset)
	}
	binary.BigEndian.PutUint32(dst[at+8:], uint32(len(dst)-at-12))
	binary.BigEndian.PutUint32(dst[at+batchCRCAt:], crc32.Checksum(dst[at+batchCRCFrom:], castagnoli))
	return dst
}

func appendRecord(dst []byte, r *journal.Record, first int64) []byte {
	dst = kbin.AppendVarint(dst, int32(recordBody(r, first)))
	dst = append(dst, 0, 0) // no attributes, and no difference in time
	dst = kbin.AppendVarint(dst, int32(r.Offset-first))
	dst = kbin.AppendVarintBytes(dst, r.Key)
	dst = kbin.AppendVarintBytes(dst, r.Value)
	dst = kbin.AppendVarint(dst, int32(r.Headers.Len()))
	for name, value := range r.Headers.All() {
		dst = kbin.AppendVarintBytes(dst, name)
		dst = kbin.AppendVarintBytes(dst, value)
	}
	return dst
}

// recordBody is how many bytes a record takes behind its length.
func recordBody(r *journal.Record, first int64) int {
	n := 2 + kbin.VarintLen(int32(r.Offset-first)) + varbytes(r.Key) + varbytes(r.Value) + kbin.VarintLen(int32(r.Headers.Len()))
	for name, value := range r.Headers.All() {
		n += varbytes(name) + varbytes(value)
	}
	return n
}

// varbytes is how many bytes take on the wire, with their length.
func varbytes(b []byte) int {
	if b == nil {
		return kbin.VarintLen(-1)
	}
	return kbin.VarintLen(int32(len(b))) + len(b)
}
