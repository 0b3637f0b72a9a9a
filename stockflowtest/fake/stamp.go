package fake

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// logAppendTime is the value of message.timestamp.type that has a broker give records its own time.
const logAppendTime = "LogAppendTime"

// stampProduced has records of topics with LogAppendTime come to lie in the log at the time at which they were appended.
//
// kfake keeps that setting and does nothing by it. It knows the bit of a batch that says so, but writes its time into
// the batch and leaves the checksum as it was, so that no client can read it. So the time is written here as if the producer had
// given it, and a client sees the right time with the type CreateTime.
func stampProduced(c *kfake.Cluster) {
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		now := time.Now().UnixMilli()
		for _, topic := range r.(*kmsg.ProduceRequest).Topics {
			if !stamped(c, topic) {
				continue
			}
			for i := range topic.Partitions {
				p := &topic.Partitions[i]
				p.Records = stamp(p.Records, now)
			}
		}
		return nil, nil, false
	})
}

// stamped reports whether the records of a topic get the broker's time.
func stamped(c *kfake.Cluster, t kmsg.ProduceRequestTopic) bool {
	info := c.TopicInfo(t.Topic)
	if t.Topic == "" { // later versions of the request send the id instead
		info = c.TopicIDInfo(t.TopicID)
	}
	if info == nil {
		return false
	}
	kind := info.Configs["message.timestamp.type"]
	return kind != nil && *kind == logAppendTime
}

// Where things stand in a record batch.
const (
	batchLength     = 8 // counted from after itself
	batchCRC        = 17
	batchAttributes = 21 // the checksum is of all from here on

	bitsCodec = 0x07
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp returns a batch with each of its records at the time now, and not compressed. One that is damaged is returned as it
// is, for kfake to refuse.
func stamp(b []byte, now int64) []byte {
	var batch kmsg.RecordBatch
	if err := batch.ReadFrom(b); err != nil || int(batch.Length) != len(b)-batchLength-4 || checksum(b) != uint32(batch.CRC) {
		return b
	}
	records, err := kfake.BatchRecords(batch)
	if err != nil {
		return b
	}
	batch.Records = nil
	for _, r := range records {
		batch.Records = appendLevel(batch.Records, r)
	}
	batch.Attributes &^= bitsCodec
	batch.FirstTimestamp, batch.MaxTimestamp = now, now
	return seal(batch.AppendTo(nil))
}

// appendLevel appends a record without a distance to the first time of its batch.
func appendLevel(to []byte, r kmsg.Record) []byte {
	r.TimestampDelta, r.TimestampDelta64, r.Length = 0, 0, 0
	r.Length = int32(len(r.AppendTo(nil)) - 1) // but for the length itself, which is a byte while it is 0
	return r.AppendTo(to)
}

// seal makes the length and the checksum of a batch right.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[batchLength:], uint32(len(b)-batchLength-4))
	binary.BigEndian.PutUint32(b[batchCRC:], checksum(b))
	return b
}

func checksum(b []byte) uint32 { return crc32.Checksum(b[batchAttributes:], castagnoli) }
