package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is how the records of a batch are compressed: the lowest bits of its attributes.
type Codec int8

// The codecs of Kafka.
const (
	CodecNone Codec = iota
	CodecGzip
	CodecSnappy
	CodecLZ4
	CodecZstd
)

// ErrTooMuch is returned for what would decompress to more than is allowed.
var ErrTooMuch = errors.New("decompresses to more than is allowed")

// Decompress returns what src was made from. It never allocates much more than limit, whatever src claims.
func Decompress(src []byte, by Codec, limit int) ([]byte, error) {
	switch by {
	case CodecNone:
		return src, nil
	case CodecGzip:
		in, err := gzip.NewReader(bytes.NewReader(src))
		if err != nil {
			return nil, err
		}
		return readAll(in, limit)
	case CodecSnappy:
		return decompressSnappy(src, limit)
	case CodecLZ4:
		return readAll(lz4.NewReader(bytes.NewReader(src)), limit)
	case CodecZstd:
		return decompressZstd(src, limit)
	}
	return nil, fmt.Errorf("compressed by codec %d, which doesn't exist", by)
}

func readAll(in io.Reader, limit int) ([]byte, error) {
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(in, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if n > int64(limit) {
		return nil, ErrTooMuch
	}
	return out.Bytes(), nil
}

// xerial is what snappy by Java's clients begins with: a mark and two versions, then blocks behind their lengths.
var xerial = []byte("\x82SNAPPY\x00")

const xerialHeader = 16

func decompressSnappy(src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerial) {
		return appendSnappy(nil, src, limit)
	}
	if len(src) < xerialHeader {
		return nil, io.ErrUnexpectedEOF
	}
	var out []byte
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(src)
		if src = src[4:]; uint64(n) > uint64(len(src)) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if out, err = appendSnappy(out, src[:n], limit); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return out, nil
}

// appendSnappy appends one block to out, which may grow to limit.
func appendSnappy(out, block []byte, limit int) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if n > limit-len(out) {
		return nil, ErrTooMuch
	}
	plain, err := s2.Decode(nil, block)
	if err != nil || out == nil {
		return plain, err
	}
	return append(out, plain...), nil
}

func decompressZstd(src []byte, limit int) ([]byte, error) {
	// Windows may be as large as the content; the smallest limit that the decoder takes is that of the smallest window.
	in, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(max(limit, zstd.MinWindowSize))))
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := in.DecodeAll(src, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) || len(out) > limit {
		return nil, ErrTooMuch
	}
	return out, err
}
