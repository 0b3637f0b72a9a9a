package broker

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// place is where and as what a batch lies in a file.
type place struct {
	offset, time int64
	epoch        int32
	producer     int64
	codec        kgo.CompressionCodecType
}

// lay makes a batch of one time.
func lay(at place, records ...kmsg.Record) []byte {
	b := batchOf(records)
	if at.codec != kgo.CodecNone {
		packed, _ := compress(b[batchRecords:], at.codec)
		b = append(b[:batchRecords], packed...)
	}
	binary.BigEndian.PutUint64(b, uint64(at.offset))
	binary.BigEndian.PutUint32(b[batchEpoch:], uint32(at.epoch))
	binary.BigEndian.PutUint16(b[batchAttributes:], uint16(at.codec))
	binary.BigEndian.PutUint32(b[batchLastOffset:], uint32(len(records)-1))
	binary.BigEndian.PutUint64(b[batchFirstTime:], uint64(at.time))
	binary.BigEndian.PutUint64(b[batchMaxTime:], uint64(at.time))
	binary.BigEndian.PutUint64(b[batchProducer:], uint64(at.producer))
	return seal(b)
}

// recordOf is a record with a value of so many bytes.
func recordOf(size int) kmsg.Record {
	return kmsg.Record{Key: []byte("key"), Value: bytes.Repeat([]byte("v"), size)}
}

func drawRecord(t *rapid.T) kmsg.Record {
	field := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 20), rapid.Map(rapid.IntRange(0, 9_000), func(n int) []byte { return make([]byte, n) }))
	r := kmsg.Record{Key: field.Draw(t, "key"), Value: field.Draw(t, "value")}
	for range rapid.IntRange(0, 2).Draw(t, "headers") {
		r.Headers = append(r.Headers, kmsg.Header{Key: "h", Value: field.Draw(t, "header")})
	}
	return r
}

// drawFile returns batches as a broker may have come to have them: mostly of one small record, times that stand still, advance and now
// and then go back, several producers, some batches compressed, leaders that change. at goes on behind them.
func drawFile(t *rapid.T, at *place, most int) []byte {
	var file []byte
	small := rapid.Map(rapid.IntRange(0, 80), recordOf)
	for range rapid.IntRange(1, most).Draw(t, "batches") {
		at.time += rapid.SampledFrom([]int64{0, 0, 1, 1, 7, 3_600_000, -2}).Draw(t, "time")
		at.epoch += rapid.SampledFrom([]int32{0, 0, 0, 0, 0, 0, 0, 0, 0, 1}).Draw(t, "epoch")
		at.producer = rapid.Int64Range(-1, 3).Draw(t, "producer")
		at.codec = rapid.SampledFrom([]kgo.CompressionCodecType{0, 0, 0, 0, 0, 0, 0, 0, kgo.CodecGzip, kgo.CodecZstd}).Draw(t, "codec")
		records := []kmsg.Record{small.Draw(t, "record")}
		if rapid.IntRange(0, 5).Draw(t, "several") == 0 {
			records = rapid.SliceOfN(rapid.Custom(drawRecord), 1, 4).Draw(t, "records")
		}
		file = append(file, lay(*at, records...)...)
		at.offset += int64(len(records))
	}
	return file
}

// asRead returns what a client makes of a file's batches, without who produced them.
func asRead(t rapid.TB, file []byte, from int64) []kgo.Record {
	answer := kmsg.NewFetchResponseTopicPartition()
	answer.RecordBatches = file
	read, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: from, Topic: "t"}, &answer, kgo.DefaultDecompressor(), nil)
	if read.Err != nil {
		t.Fatal(read.Err)
	}
	var all []kgo.Record
	for _, r := range read.Records {
		r.ProducerID, r.ProducerEpoch, r.Context = 0, 0, nil
		all = append(all, *r)
	}
	return all
}

func heads(file []byte) (all []head) {
	for raw, rest, ok := cutBatch(file); ok; raw, rest, ok = cutBatch(rest) {
		all = append(all, headOf(raw))
	}
	return all
}

// Whatever the batches are, a client reads the same records from the merged ones, which are as many as forecast and no larger than they may be.
func TestMergedBatchesAreReadAsBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := place{offset: rapid.Int64Range(0, 1<<40).Draw(t, "offset"), time: 1_700_000_000_000}
		from := at.offset
		file := drawFile(t, &at, 60)
		merged := merge(file)
		was, is := asRead(t, file, from), asRead(t, merged, from)
		if len(was) != int(at.offset-from) || !reflect.DeepEqual(was, is) {
			t.Fatalf("%d records became %d, or others", len(was), len(is))
		}
		if !sameRecords(file, merged) {
			t.Error("they are said not to be the same")
		}
		var f forecast
		for _, h := range heads(file) {
			f.add(h)
		}
		now := heads(merged)
		if len(now) != f.left {
			t.Errorf("%d batches are left, and %d were forecast", len(now), f.left)
		}
		for _, h := range now {
			if h.count > 4 && (h.count > mergedRecords || h.bytes+batchRecords > mergedBytes) {
				t.Errorf("a merged batch has %d records and %d bytes", h.count, h.bytes)
			}
		}
		if again := merge(merged); !sameRecords(file, again) {
			t.Error("merged again, it isn't the same")
		}
	})
}

// Thousands of batches of a record become a few, by bytes or by records.
func TestHowLargeMergedBatchesAre(t *testing.T) {
	for size, want := range map[int]int{0: 5, 200: 34, 20_000: 5_000} {
		var file []byte
		for i := range 5_000 {
			file = append(file, lay(place{offset: int64(i), time: 1 + int64(i/3)}, recordOf(size))...)
		}
		if got := len(heads(merge(file))); got != want {
			t.Errorf("with values of %d bytes, 5,000 batches become %d, want %d", size, got, want)
		}
	}
}

// What is not as plain as can be is left alone, byte for byte, and what stands before and behind it is not joined over it.
func TestWhatIsNotPlainStaysAsItIs(t *testing.T) {
	around := func(offset int64) []byte {
		return append(lay(place{offset: offset, time: 5}, recordOf(1)), lay(place{offset: offset + 1, time: 6}, recordOf(2))...)
	}
	set := func(at int, to ...byte) []byte {
		b := lay(place{offset: 2, time: 5, producer: 9}, recordOf(3), recordOf(4))
		copy(b[at:], to)
		return seal(b)
	}
	for name, odd := range map[string][]byte{
		"compressed":         lay(place{offset: 2, time: 5, codec: kgo.CodecSnappy}, recordOf(3), recordOf(4)),
		"in a transaction":   set(batchAttributes+1, 0x10),
		"a marker":           set(batchAttributes+1, 0x30),
		"of the log's time":  set(batchAttributes+1, bitLogAppendTime),
		"of several times":   set(batchMaxTime+7, 6),
		"with a gap":         set(batchLastOffset+3, 2),
		"of a time before 0": set(batchFirstTime, bytes.Repeat([]byte{0xff}, 16)...),
		"counted wrong":      set(batchCount+3, 1),
	} {
		file := append(append(around(0), odd...), around(4)...)
		merged := merge(file)
		if at := bytes.Index(merged, odd); at < 0 || len(heads(merged[:at])) != 1 || len(heads(merged[at+len(odd):])) != 1 {
			t.Errorf("%s: %d batches became %d", name, len(heads(file)), len(heads(merged)))
		}
		if !sameRecords(file, merged) {
			t.Errorf("%s: not the same records", name)
		}
	}
	for name, odd := range map[string][]byte{ // which only the records themselves tell
		"wrongly numbered": set(len(set(0))-11, 4),
		"not to be read":   set(len(set(0))-1, 9),
	} {
		file := append(append(around(0), odd...), around(4)...)
		if merged := merge(file); !bytes.Equal(merged, file) {
			t.Errorf("%s: something was merged", name)
		}
	}
}

// A file that differs in anything that a reader sees is not the same, and a torn one isn't either.
func TestSameRecords(t *testing.T) {
	var file []byte
	for i := range 5 {
		file = append(file, lay(place{offset: int64(i), time: int64(10 + i)}, recordOf(3))...)
	}
	merged := merge(file)
	if len(heads(merged)) != 1 || !sameRecords(file, merged) {
		t.Fatal("not merged, or not the same")
	}
	for at := range merged {
		unseen := at >= batchLength && at < batchEpoch || at >= batchMagic && at < batchFirstTime || // sizes, the checksum, and what is refused
			at >= batchMaxTime && at < batchRecords
		if other := seal(flip(at)(bytes.Clone(merged))); !unseen && sameRecords(file, other) {
			t.Errorf("with a bit of byte %d flipped it is the same", at)
		}
		if sameRecords(file, merged[:at]) || sameRecords(merged[:at], file) {
			t.Errorf("cut at byte %d it is the same", at)
		}
	}
	if longer := append(bytes.Clone(merged), 0); sameRecords(file, longer) {
		t.Error("with a byte behind it, it is the same")
	}
}
