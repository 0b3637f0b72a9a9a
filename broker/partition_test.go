package broker

import (
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The values of Kafka's own UtilsTest.testMurmur2.
func TestMurmur2IsJavas(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

// A thousand keys, and what Java's own client chose for each: testdata/JavaPartitions.java says how it was asked.
func TestPartitionIsJavas(t *testing.T) {
	text, err := os.ReadFile("testdata/java-partitions.txt")
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		key, err := hex.DecodeString(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range []int32{8, 12, 100} {
			if got := Partition(key, n); strconv.Itoa(int(got)) != fields[1+i] {
				t.Errorf("Partition(%q, %d) = %d, Java says %s", key, n, got, fields[1+i])
			}
		}
		keys++
	}
	if keys != 1000 {
		t.Errorf("there are %d keys", keys)
	}
}

func TestPartitionIsThatOfTheClients(t *testing.T) {
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("orders")
	newHash := NewHasher()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		key := make([]byte, 1+rng.IntN(40))
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		n := 1 + rng.Int32N(100)
		got := Partition(key, n)
		if want := theirs.Partition(&kgo.Record{Key: key}, int(n)); int(got) != want {
			t.Fatalf("Partition(%q, %d) = %d, kgo says %d", key, n, got, want)
		}
		if want := byGoka(newHash, key, n); got != want {
			t.Fatalf("Partition(%q, %d) = %d, by the hasher %d", key, n, got, want)
		}
	}
}

// byGoka is what goka does with a hasher: in two writes here, as a hash allows it.
func byGoka(newHash func() hash.Hash32, key []byte, n int32) int32 {
	h := newHash()
	h.Write([]byte("of the key before"))
	h.Reset()
	h.Write(key[:len(key)/2])
	h.Write(key[len(key)/2:])
	p := int32(h.Sum32())
	if p < 0 {
		p = -p
	}
	return p % n
}

func TestHasherAppendsItsSum(t *testing.T) {
	h := NewHasher()()
	h.Write([]byte("foobar"))
	sum := h.Sum([]byte("x"))
	if sum[0] != 'x' || binary.BigEndian.Uint32(sum[1:]) != h.Sum32() || len(sum) != 1+h.Size() {
		t.Errorf("Sum = %x, Sum32 = %x", sum, h.Sum32())
	}
}
