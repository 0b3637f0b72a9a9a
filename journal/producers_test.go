package journal

import (
	"errors"
	"math"
	"testing"
	"time"

	"stockflow/journal/files/powercut"
)

// Each row is a batch of one producer; at its end what becomes of it. The journal is opened again in between.
func TestBatchesOfAProducer(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	partition(t, j, "orders")
	id, err := j.NewProducerID()
	if err != nil {
		t.Fatal(err)
	}
	places := make(map[int64]Position) // by offset
	for i, test := range []struct {
		epoch    int16
		sequence int32
		count    int
		want     error
		offset   int64
	}{
		{0, 5, 2, nil, 0}, // one that is unknown may begin anywhere
		{0, 5, 2, ErrDuplicate, 0},
		{0, 8, 1, ErrOutOfOrder, 0},
		{0, 6, 1, ErrOutOfOrder, 0},
		{0, 7, 1, nil, 2},
		{0, 8, 1, nil, 3},
		{0, 9, 1, nil, 4},
		{0, 10, 1, nil, 5},
		{0, 5, 2, ErrDuplicate, 0}, // five batches are remembered
		{0, 11, 1, nil, 6},
		{0, 5, 2, ErrOutOfOrder, 0},
		{0, 7, 1, ErrDuplicate, 2},
		{1, 12, 1, ErrOutOfOrder, 0}, // an epoch begins with 0
		{1, 0, 3, nil, 7},
		{0, 12, 1, ErrFenced, 0},
		{1, 0, 3, ErrDuplicate, 7},
		{2, 0, 1, nil, 10},
		{-1, 0, 1, ErrOutOfOrder, 0},
		{2, -1, 1, ErrOutOfOrder, 0},
	} {
		p := j.Partition("orders", 0)
		offset, at, err := p.AppendFrom(ProducerBatch{id, test.epoch, test.sequence}, make([]Record, test.count)...)
		if !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Fatalf("%d: got %v, want %v", i, err, test.want)
		}
		if test.want == nil {
			places[offset] = at
		}
		if (err == nil || errors.Is(err, ErrDuplicate)) && (offset != test.offset || at != places[offset]) {
			t.Errorf("%d: at offset %d, position %d; want %d, %d", i, offset, at, test.offset, places[test.offset])
		}
		if i%2 == 0 {
			closeNow(t, j)
			j = openSmall(t, disk)
		} else {
			full := len(j.tails)
			for len(j.tails) == full { // then the next start has it from a checkpoint
				put(t, j.Partition("orders", 1), numbered(0, 10)...)
			}
		}
	}
}

func TestSequencesBeginAgain(t *testing.T) {
	j := openSmall(t, powercut.New())
	p := partition(t, j, "orders")
	id, _ := j.NewProducerID()
	for _, test := range []struct {
		sequence int32
		count    int
	}{{math.MaxInt32 - 1, 2}, {0, 1}, {1, 1}} {
		if _, _, err := p.AppendFrom(ProducerBatch{ID: id, Sequence: test.sequence}, make([]Record, test.count)...); err != nil {
			t.Errorf("%v: %v", test, err)
		}
	}
	if _, _, err := p.AppendFrom(ProducerBatch{ID: id, Sequence: 2}, Record{}); err != nil {
		t.Error(err)
	}
	if got := addSequence(math.MaxInt32-1, 3); got != 1 {
		t.Errorf("%d comes after the largest", got)
	}
}

func TestProducerIDsAreGivenOutOnce(t *testing.T) {
	disk := powercut.New()
	seen := make(map[int64]bool)
	for range 5 {
		j := openSmall(t, disk)
		partition(t, j, "orders")
		for range producerIDBlock + 1 {
			id, err := j.NewProducerID()
			if err != nil || seen[id] {
				t.Fatal(id, err)
			}
			seen[id] = true
		}
		_, _, err := j.Partition("orders", 0).AppendFrom(ProducerBatch{ID: 1 << 40}, Record{})
		if !errors.Is(err, ErrUnknownProducer) {
			t.Error(err)
		}
		disk = disk.Cut(testRand())
		_ = j.Close() // its disk is gone
	}
}

// A checkpoint has room for so many, so those that have been silent longest are forgotten.
func TestProducersAreBounded(t *testing.T) {
	disk := powercut.New()
	o := smallOptions(disk)
	clock := newTestClock()
	o.Clock = clock
	j := openWith(t, o)
	p := partition(t, j, "orders")
	var ids []int64
	for range 3 * j.mostProducers() {
		id, err := j.NewProducerID()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if _, _, err := p.AppendFrom(ProducerBatch{ID: id, Sequence: 7}, Record{}); err != nil {
			t.Fatal(err)
		}
		clock.pass(time.Second)
	}
	if n := len(p.producers); n > j.mostProducers() || n < j.mostProducers()/2 {
		t.Errorf("%d producers, at most %d", n, j.mostProducers())
	}
	if _, _, err := p.AppendFrom(ProducerBatch{ID: ids[len(ids)-1], Sequence: 9}, Record{}); !errors.Is(err, ErrOutOfOrder) {
		t.Error("the last is forgotten: ", err)
	}
	if _, _, err := p.AppendFrom(ProducerBatch{ID: ids[0], Sequence: 9}, Record{}); err != nil {
		t.Error("the first is remembered: ", err)
	}
	clock.pass(8 * 24 * time.Hour)
	put(t, p, "a week later")
	j.mu.Lock()
	j.forgetProducers()
	j.mu.Unlock()
	if len(p.producers) != 0 {
		t.Errorf("%d producers are remembered after a week", len(p.producers))
	}
}
