package broker

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// stamp gives records the broker's time, whatever time their producer gave them. One clock serves the whole broker,
// and it stands still rather than go backwards: over a restart too, as it begins with the last time in the log.
//
// Kafka has a bit in the batch for that, LogAppendTime, and the server knows it. But it writes its time into the
// batch and leaves the checksum as it was, so that no client can read the batch, and the next start takes it for a
// torn tail and cuts the log there. So the bit is never let through; the time is written here as if the
// producer had given it, and a client sees the broker's time with the type CreateTime.
//
// Only the server's loop uses a stamp, one request after the other.
type stamp struct {
	now  func() time.Time
	last int64 // milliseconds since 1970
}

func (s *stamp) produce(req *kmsg.ProduceRequest) {
	s.last = max(s.last, s.now().UnixMilli())
	for t := range req.Topics {
		for p := range req.Topics[t].Partitions {
			part := &req.Topics[t].Partitions[p]
			part.Records = stampBatch(part.Records, s.last)
		}
	}
}

// Where things stand in a record batch.
const (
	batchLength     = 8 // counted from after itself
	batchEpoch      = 12
	batchMagic      = 16
	batchCRC        = 17
	batchAttributes = 21 // the checksum is of all from here on
	batchLastOffset = 23 // its distance to the first
	batchFirstTime  = 27
	batchMaxTime    = 35
	batchProducer   = 43 // with its epoch and its number of the first record
	batchCount      = 57
	batchRecords    = 61

	bitLogAppendTime = 0x08
	bitTransaction   = 0x10
	bitControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stampBatch returns the batch with each of its records at the time now. A batch that is damaged is returned so that the
// server refuses it: a client's bad bytes must not come to lie in a log, where they would stop all who read it.
func stampBatch(b []byte, now int64) []byte {
	if len(b) < batchRecords || b[batchMagic] != 2 || checksum(b) != binary.BigEndian.Uint32(b[batchCRC:]) {
		return b
	}
	attributes := binary.BigEndian.Uint16(b[batchAttributes:])
	records, ok := level(b[batchRecords:], int(int32(binary.BigEndian.Uint32(b[batchCount:]))), attributes)
	if !ok {
		binary.BigEndian.PutUint32(b[batchCRC:], ^checksum(b))
		return b
	}
	b = append(b[:batchRecords], records...)
	binary.BigEndian.PutUint32(b[batchLength:], uint32(len(b)-batchLength-4))
	binary.BigEndian.PutUint16(b[batchAttributes:], attributes&^bitLogAppendTime)
	binary.BigEndian.PutUint64(b[batchFirstTime:], uint64(now))
	binary.BigEndian.PutUint64(b[batchMaxTime:], uint64(now))
	binary.BigEndian.PutUint32(b[batchCRC:], checksum(b))
	return b
}

func checksum(b []byte) uint32 { return crc32.Checksum(b[batchAttributes:], castagnoli) }
