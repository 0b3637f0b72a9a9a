package broker

import (
	"encoding/binary"
	"hash"
)

// Partition returns the partition of n that a key belongs to, as Java's Kafka clients have it, so that Kafka Connect,
// Kafka Streams and ksqlDB can join the tables. It is right for the empty key too, but a log has no empty keys.
// n must be at least 1.
func Partition(key []byte, n int32) int32 { return positive(murmur2(key)) % n }

// NewHasher returns the same rule for goka, which takes Sum32 as an int32, modulo the number of partitions.
func NewHasher() func() hash.Hash32 { return func() hash.Hash32 { return new(hasher) } }

// positive is Java's toPositive: the sign is cut off, which isn't the same as the absolute value.
func positive(sum uint32) int32 { return int32(sum & 0x7fffffff) }

// hasher collects a key; murmur2 needs its length before its first byte.
type hasher struct{ key []byte }

// Write is hash.Hash's and never fails.
func (h *hasher) Write(p []byte) (int, error) {
	h.key = append(h.key, p...)
	return len(p), nil
}

// Sum32 is never negative as an int32.
func (h *hasher) Sum32() uint32 { return uint32(positive(murmur2(h.key))) }

// Sum appends Sum32, big-endian.
func (h *hasher) Sum(b []byte) []byte { return binary.BigEndian.AppendUint32(b, h.Sum32()) }

// Reset forgets what was written.
func (h *hasher) Reset() { h.key = h.key[:0] }

// Size is that of Sum32.
func (*hasher) Size() int { return 4 }

// BlockSize is the size that murmur2 works in.
func (*hasher) BlockSize() int { return 4 }

// murmur2 is org.apache.kafka.common.utils.Utils.murmur2, without the sign.
func murmur2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := 0x9747b28c ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
