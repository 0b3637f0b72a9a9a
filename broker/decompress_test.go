package broker

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compress is the other way of Decompress.
func compress(t testing.TB, by Codec, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch by {
	case CodecNone:
		return plain
	case CodecGzip:
		w := gzip.NewWriter(&out)
		_, _ = w.Write(plain) // to memory
		_ = w.Close()
	case CodecSnappy:
		return s2.EncodeSnappy(nil, plain)
	case CodecLZ4:
		w := lz4.NewWriter(&out)
		_, _ = w.Write(plain) // to memory
		_ = w.Close()
	case CodecZstd:
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(plain, nil)
	}
	return out.Bytes()
}

// xerialBlocks is snappy as Java's clients frame it.
func xerialBlocks(blocks ...[]byte) []byte {
	out := append(slices.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, b := range blocks {
		b = s2.EncodeSnappy(nil, b)
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(b))), b...)
	}
	return out
}

func TestWhatWasCompressedIsDecompressedWithinItsLimit(t *testing.T) {
	plain := bytes.Repeat([]byte("orders "), 1000)
	for by := CodecNone; by <= CodecZstd; by++ {
		got, err := Decompress(compress(t, by, plain), by, len(plain))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("codec %d: %d bytes, %v", by, len(got), err)
		}
		if by == CodecNone {
			continue
		}
		if _, err := Decompress(compress(t, by, plain), by, len(plain)-1); !errors.Is(err, ErrTooMuch) {
			t.Errorf("codec %d, one byte too many: %v", by, err)
		}
		for n := 1; n < 20; n++ {
			if _, err := Decompress(compress(t, by, plain)[:n], by, len(plain)); err == nil {
				t.Errorf("codec %d: %d bytes of it are decompressed", by, n)
			}
		}
	}
	if got, err := Decompress(xerialBlocks(plain[:3000], plain[3000:]), CodecSnappy, len(plain)); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("xerial: %d bytes, %v", len(got), err)
	}
	if _, err := Decompress(xerialBlocks(plain[:3000], plain[3000:]), CodecSnappy, len(plain)-1); !errors.Is(err, ErrTooMuch) {
		t.Errorf("xerial, one byte too many: %v", err)
	}
	if _, err := Decompress(plain, CodecZstd+1, len(plain)); err == nil {
		t.Error("a codec that doesn't exist is taken")
	}
}

// TestABombIsNotDecompressed: many megabytes in some kilobytes takes no more memory than is allowed.
func TestABombIsNotDecompressed(t *testing.T) {
	const size, limit = 64 << 20, 1 << 20
	zeros := make([]byte, size)
	bombs := map[string]struct {
		by  Codec
		src []byte
	}{
		"gzip":   {CodecGzip, compress(t, CodecGzip, zeros)},
		"snappy": {CodecSnappy, binary.AppendUvarint(nil, size)},
		"xerial": {CodecSnappy, xerialBlocks(zeros[:limit/2], zeros[:limit/2], zeros[:limit/2])},
		"lz4":    {CodecLZ4, compress(t, CodecLZ4, zeros)},
		"zstd":   {CodecZstd, compress(t, CodecZstd, zeros)},
		// Many that are small enough, one behind the other.
		"gzip members": {CodecGzip, bytes.Repeat(compress(t, CodecGzip, zeros[:limit/2]), 100)},
		"zstd frames":  {CodecZstd, bytes.Repeat(compress(t, CodecZstd, zeros[:limit/2]), 100)},
	}
	zeros = nil
	runtime.GC()
	for name, bomb := range bombs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decompress(bomb.src, bomb.by, limit)
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrTooMuch) || allocated > 20*limit {
			t.Errorf("%s: %d bytes are allocated: %v", name, allocated, err)
		}
	}
}
