package broker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// LargestBatch is how many bytes a batch of a log may decompress to. A log takes batches of up to [LargestMessage], which is
// their size when compressed.
const LargestBatch = 16 << 20

// What the records of a batch may take in memory, with their bytes, and those of all batches of one answer. A batch that
// doesn't fit into what is left of its answer is fetched again.
const (
	largestRecords = 64 << 20
	answerRecords  = 64 << 20
)

// What a record takes in memory beside its bytes, and a header of it.
const (
	recordCost = 256
	headerCost = 48
)

// errAnswerFull says that a batch comes with the next answer.
var errAnswerFull = errors.New("the batches of an answer decompress to more than is allowed at once")

// bounded decompresses for one client, within bounds: a batch of some kilobytes may decompress to gigabytes, and an answer has
// many batches.
type bounded struct {
	left atomic.Int64 // of the answer that is being read
}

var (
	_ kgo.Decompressor   = (*bounded)(nil)
	_ kgo.HookBrokerRead = (*bounded)(nil)
)

// bounds are the options that bound what a client decompresses.
func bounds() []kgo.Opt {
	b := new(bounded)
	b.left.Store(answerRecords)
	return []kgo.Opt{kgo.WithDecompressor(b), kgo.WithHooks(b)}
}

// OnBrokerRead implements kgo.HookBrokerRead: an answer has come, and is decompressed next.
func (b *bounded) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == kmsg.Fetch.Int16() {
		b.left.Store(answerRecords)
	}
}

// Decompress implements kgo.Decompressor. The client takes its errors, but for errAnswerFull, for a batch that is too large:
// then it stops there and tells where the next batch begins.
func (b *bounded) Decompress(src []byte, by kgo.CompressionCodecType) ([]byte, error) {
	if by == kgo.CodecNone {
		return src, nil
	}
	if b.left.Load() <= 0 {
		return nil, errAnswerFull
	}
	plain, err := Decompress(src, Codec(by), LargestBatch)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", kgo.ErrMaxDecompress, err)
	}
	cost, err := costOf(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", kgo.ErrMaxDecompress, err)
	}
	b.left.Add(-cost)
	return plain, nil
}

// costOf is what the records of a batch take in memory.
func costOf(plain []byte) (int64, error) {
	cost := int64(len(plain))
	for in := (kbin.Reader{Src: plain}); len(in.Src) > 0; {
		r := kbin.Reader{Src: in.Span(int(in.Varint()))}
		r.Int8()        // attributes
		r.Varlong()     // time
		r.Varint()      // offset
		r.VarintBytes() // key
		r.VarintBytes() // value
		headers := r.Varint()
		if !in.Ok() || !r.Ok() || headers < 0 {
			return 0, errors.New("a record can't be decoded")
		}
		if cost += recordCost + int64(headers)*headerCost; cost > largestRecords {
			return 0, ErrTooMuch
		}
	}
	return cost, nil
}

// Unreadable is a batch that can't be read: it decompresses to more than is allowed, or to nothing that makes sense. Whoever
// reads its partition gets one record in its place, without key and value, that has the offset of its last one.
type Unreadable struct {
	TopicPartition
	First, Last int64
}

func (u *Unreadable) Error() string {
	return fmt.Sprintf("the batch of offsets %d to %d can't be read: it is damaged, or decompresses to more than %d MiB", u.First, u.Last, LargestBatch>>20)
}

type unreadableKey struct{}

// UnreadableOf returns the batch in whose place a record stands, nil for any other record. It can't be made up by who writes
// a record.
func UnreadableOf(r *kgo.Record) *Unreadable {
	if r.Context == nil {
		return nil
	}
	u, _ := r.Context.Value(unreadableKey{}).(*Unreadable)
	return u
}

// standIn returns the record that takes the place of a batch that can't be read.
func (u *Unreadable) standIn() *kgo.Record {
	return &kgo.Record{
		Topic: u.Topic, Partition: u.Partition, Offset: u.Last, Timestamp: time.UnixMilli(0), LeaderEpoch: -1,
		Context: context.WithValue(context.Background(), unreadableKey{}, u),
	}
}

// passUnreadable takes the errors of a poll that need not end a reader: batches that come later, and those that can't be
// read, behind which the client goes on. In place of the latter records are returned, that lie behind those of the poll in
// their partition. The other errors are left.
func passUnreadable(client *kgo.Client, fetches kgo.Fetches) (instead []*kgo.Record, left []kgo.FetchError) {
	for _, e := range fetches.Errors() {
		var tooLarge *kgo.ErrDecompressTooLarge
		switch {
		case errors.Is(e.Err, errAnswerFull):
		case errors.As(e.Err, &tooLarge):
			u := &Unreadable{TopicPartition{e.Topic, e.Partition}, tooLarge.Offset, tooLarge.NextOffset - 1}
			instead = append(instead, u.standIn())
			client.SetOffsets(map[string]map[int32]kgo.EpochOffset{e.Topic: {e.Partition: {Epoch: tooLarge.Epoch, Offset: tooLarge.NextOffset}}})
		default:
			left = append(left, e)
		}
	}
	return instead, left
}
