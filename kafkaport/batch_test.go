package kafkaport

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/journal"
)

func gzipped(plain []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(plain) // to memory
	_ = w.Close()
	return out.Bytes()
}

// TestBatchesComeBack as what they were made from, whatever the gaps, and stay within what they may have.
func TestBatchesComeBack(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var want []journal.Record
		offset, at := random.Int64N(1e12), random.Int64N(1e13)
		for range 1 + random.IntN(30) {
			offset += 1 + random.Int64N(1+random.Int64N(1<<20))
			if random.IntN(3) == 0 {
				at += random.Int64N(3)
			}
			r := journal.Record{Offset: offset, Time: at, Key: randomBytes(random), Value: randomBytes(random)}
			for range random.IntN(3) {
				r.Headers = r.Headers.With("name", randomBytes(random))
			}
			want = append(want, r)
		}
		limit := random.IntN(4000)
		encoded := appendBatches(nil, want, limit, true)
		got := decodeBatches(t, encoded)
		if len(encoded) > limit && len(got) > 1 {
			t.Fatalf("%d bytes with %d records, at most %d are allowed", len(encoded), len(got), limit)
		}
		if len(got) == 0 || len(appendBatches(nil, want, limit, false)) > limit {
			t.Fatalf("no progress, or too much, within %d bytes", limit)
		}
		for i, r := range got {
			w := want[i]
			if r.Offset != w.Offset || r.Time != w.Time || !same(r.Key, w.Key) || !same(r.Value, w.Value) || r.Headers.Len() != w.Headers.Len() {
				t.Fatalf("record %d is %+v, expected %+v", i, r, w)
			}
		}
		if all := decodeBatches(t, appendBatches(nil, want, 1<<30, true)); len(all) != len(want) {
			t.Fatalf("%d of %d records", len(all), len(want))
		}
	}
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func randomBytes(random *rand.Rand) []byte {
	if random.IntN(5) == 0 {
		return nil
	}
	return []byte(strings.Repeat("x", random.IntN(200)))
}

// decodeBatches decodes what a fetch answers, with kmsg alone.
func decodeBatches(t testing.TB, b []byte) (records []journal.Record) {
	t.Helper()
	for len(b) > 0 {
		n := 12 + int(binary.BigEndian.Uint32(b[8:]))
		var head kmsg.RecordBatch
		if err := head.ReadFrom(b[:n]); err != nil {
			t.Fatal(err)
		}
		in := head.Records
		for range head.NumRecords {
			length, size := kbin.Varint(in)
			var r kmsg.Record
			if err := r.ReadFrom(in[:size+int(length)]); err != nil {
				t.Fatal(err)
			}
			in = in[size+int(length):]
			one := journal.Record{Offset: head.FirstOffset + int64(r.OffsetDelta), Time: head.MaxTimestamp, Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				one.Headers = one.Headers.With(h.Key, h.Value)
			}
			records = append(records, one)
		}
		if last := records[len(records)-1].Offset; len(in) > 0 || head.FirstOffset+int64(head.LastOffsetDelta) != last {
			t.Fatalf("%d bytes are left of a batch up to %d, whose last record is %d", len(in), head.FirstOffset+int64(head.LastOffsetDelta), last)
		}
		b = b[n:]
	}
	return records
}

func TestBatchesThatAreRefused(t *testing.T) {
	p := open(t, Limits{Batch: 10_000, Records: 100})
	r := p.raw()
	unsealed := newBatch("v").bytes()
	unsealed[batchCRCAt]++
	old := make([]byte, 40)
	old[batchMagicAt] = 1
	twoHeaders := func(b *sentBatch) { b.Records = slices.Concat(b.plain[:len(b.plain)-1], []byte{0x7e}) }
	cases := map[string]struct {
		batch []byte
		want  *kerr.Error
	}{
		"nothing":                   {nil, kerr.InvalidRecord},
		"an old message":            {old, kerr.UnsupportedForMessageFormat},
		"a format of the future":    {newBatch("v").with(func(b *sentBatch) { b.Magic = 3 }).bytes(), kerr.UnsupportedForMessageFormat},
		"a wrong checksum":          {unsealed, kerr.CorruptMessage},
		"a batch that is cut":       {newBatch("v").bytes()[:50], kerr.CorruptMessage},
		"two batches":               {append(newBatch("v").bytes(), newBatch("v").bytes()...), kerr.InvalidRecord},
		"no records":                {newBatch().bytes(), kerr.InvalidRecord},
		"fewer than it says":        {newBatch("v").with(func(b *sentBatch) { b.NumRecords, b.LastOffsetDelta = 2, 1 }).bytes(), kerr.InvalidRecord},
		"more than it says":         {newBatch("v", "w").with(func(b *sentBatch) { b.NumRecords, b.LastOffsetDelta = 1, 0 }).bytes(), kerr.InvalidRecord},
		"another last offset":       {newBatch("v").with(func(b *sentBatch) { b.LastOffsetDelta = 5 }).bytes(), kerr.InvalidRecord},
		"too many records":          {newBatch(numbered("v", 101)...).bytes(), kerr.MessageTooLarge},
		"headers that aren't there": {newBatch("v").with(twoHeaders).bytes(), kerr.InvalidRecord},
		"a control batch":           {newBatch("v").with(func(b *sentBatch) { b.Attributes = attributeControl }).bytes(), kerr.InvalidRecord},
		"a transaction":             {newBatch("v").with(func(b *sentBatch) { b.Attributes = attributeTransactional }).bytes(), kerr.TransactionalIDAuthorizationFailed},
		"a codec that isn't":        {newBatch("v").with(func(b *sentBatch) { b.Attributes = 7 }).bytes(), kerr.InvalidRecord},
		"no gzip":                   {newBatch("v").with(func(b *sentBatch) { b.Attributes = int16(broker.CodecGzip) }).bytes(), kerr.InvalidRecord},
		"a bomb": {newBatch("v").with(func(b *sentBatch) {
			b.Attributes, b.Records = int16(broker.CodecGzip), gzipped(make([]byte, 10_001))
		}).bytes(), kerr.MessageTooLarge},
		"a producer without sequence": {newBatch("v").from(0, 0, -1).bytes(), kerr.InvalidRecord},
		"a producer nobody knows":     {newBatch("v").from(1e6, 0, 0).bytes(), kerr.UnknownProducerID},
	}
	for name, c := range cases {
		if got := r.produceRaw(c.batch); got.ErrorCode != c.want.Code || got.BaseOffset != -1 || got.ErrorMessage == nil {
			t.Errorf("%s: code %d (%v) at %d, expected %v", name, got.ErrorCode, kerr.ErrorForCode(got.ErrorCode), got.BaseOffset, c.want)
		}
	}
	if end := p.ends(single)[0]; end != 0 {
		t.Errorf("the log ends at %d", end)
	}
	if got := r.produceRaw(newBatch("v").bytes()); got.ErrorCode != 0 || got.BaseOffset != 0 || got.LogAppendTime < 0 {
		t.Errorf("a good one: %+v", got)
	}
}

// TestSequences: what an idempotent producer sends counts once, and in its order.
func TestSequences(t *testing.T) {
	p := open(t, Limits{})
	r := p.raw()
	q := kmsg.NewPtrInitProducerIDRequest()
	q.Version = 4
	id := ask[*kmsg.InitProducerIDResponse](r, q).ProducerID
	for _, c := range []struct {
		what   string
		batch  *sentBatch
		want   *kerr.Error
		offset int64
	}{
		{"the first", newBatch("a", "b").from(id, 0, 0), nil, 0},
		{"the first again", newBatch("a", "b").from(id, 0, 0), nil, 0},
		{"a gap", newBatch("d").from(id, 0, 3), kerr.OutOfOrderSequenceNumber, -1},
		{"the next", newBatch("c").from(id, 0, 2), nil, 2},
		{"the first, once more", newBatch("a", "b").from(id, 0, 0), nil, 0},
		{"another epoch", newBatch("d").from(id, 1, 0), nil, 3},
		{"the epoch of before", newBatch("d").from(id, 0, 3), kerr.InvalidProducerEpoch, -1},
	} {
		got := r.produceRaw(c.batch.bytes())
		if want := codeOf(nil); c.want != nil && got.ErrorCode != c.want.Code || c.want == nil && got.ErrorCode != want || got.BaseOffset != c.offset {
			t.Errorf("%s: %v at %d, expected %v at %d", c.what, kerr.ErrorForCode(got.ErrorCode), got.BaseOffset, c.want, c.offset)
		}
	}
	if end := p.ends(single)[0]; end != 4 {
		t.Errorf("the log ends at %d", end)
	}
}
