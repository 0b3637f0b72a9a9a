package replay

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// TestAScratchIsAMap: whatever is put into it, it says the same as a map, with little room and with much, so in memory and on
// disk, and tidied in between.
func TestAScratchIsAMap(t *testing.T) {
	t.Parallel()
	for _, room := range []int{2 << 10, 64 << 10, smallRoom} {
		for seed := range uint64(20) {
			t.Run(fmt.Sprintf("room=%d/seed=%d", room, seed), func(t *testing.T) { likeAMap(t, room, rand.New(rand.NewPCG(seed, 1))) })
		}
	}
}

func likeAMap(t *testing.T, room int, chance *rand.Rand) {
	disk := &spill{under: t.TempDir()}
	defer disk.close() //nolint:errcheck // it is thrown away with the directory
	other := disk.scratch(room)
	s := disk.scratch(room)
	want := map[string][]byte{}
	for range 4000 {
		key := fmt.Sprint(chance.IntN(500))
		var value []byte
		if chance.IntN(8) > 0 {
			value = bytes.Repeat([]byte{byte(chance.Uint32())}, chance.IntN(300))
		}
		if err := s.put('a', key, value); err != nil {
			t.Fatal(err)
		}
		_ = other.put('a', key, []byte("another's"))
		_ = s.put('b', key, []byte("of another kind"))
		if want[key] = value; value == nil {
			delete(want, key)
		}
		asked := fmt.Sprint(chance.IntN(500))
		if got, err := s.get('a', asked); err != nil || !bytes.Equal(got, want[asked]) || (got == nil) != (want[asked] == nil) {
			t.Fatalf("%s is %q, expected %q, %v", asked, got, want[asked], err)
		}
		if chance.IntN(1000) == 0 {
			if err := s.keep(); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, last := map[string][]byte{}, ""
	if err := s.each('a', func(key string, value []byte) error {
		if key <= last && last != "" {
			t.Errorf("%s comes after %s", key, last)
		}
		got[key], last = value, key
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("in all it has %d keys, expected %d", len(got), len(want))
	}
}
