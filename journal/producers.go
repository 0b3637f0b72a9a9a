package journal

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
)

// ProducerBatch says who appends a batch, as Kafka's idempotent producers do. The sequence of the first record is given;
// the others follow it, and 0 follows the largest int32.
type ProducerBatch struct {
	ID       int64
	Epoch    int16
	Sequence int32
}

// producerBatch is a ProducerBatch with its number of records.
type producerBatch struct {
	ProducerBatch
	count int32
}

func (b *producerBatch) append(to []byte) []byte {
	to = binary.AppendUvarint(to, uint64(b.ID))
	to = binary.AppendUvarint(to, uint64(b.Epoch))
	to = binary.AppendUvarint(to, uint64(b.Sequence))
	return binary.AppendUvarint(to, uint64(b.count))
}

func (b *producerBatch) read(d *decoder) {
	b.ID, b.Epoch, b.Sequence, b.count = d.int64(), int16(d.uint()), int32(d.uint()), int32(d.uint())
}

func addSequence(s, n int32) int32 { return int32((int64(s) + int64(n)) % (math.MaxInt32 + 1)) }

// producer is what a partition remembers of an idempotent producer.
type producer struct {
	epoch   int16
	time    int64 // of its last batch
	batches []appendedBatch
}

// appendedBatch is a batch of the current epoch, and where it is.
type appendedBatch struct {
	sequence, count int32
	offset          int64
	at              Position // behind it
}

// rememberedBatches is how many batches a client of Kafka may have under way.
const rememberedBatches = 5

// checkProducer returns nil if the batch may be appended, and the batch of then with ErrDuplicate.
func (p *Partition) checkProducer(b *producerBatch) (before appendedBatch, err error) {
	if b.ID < 0 || b.ID >= p.j.producerIDs.end {
		return before, fmt.Errorf("%w: %d", ErrUnknownProducer, b.ID)
	}
	if b.Epoch < 0 || b.Sequence < 0 {
		return before, fmt.Errorf("%w: producer %d: epoch %d, sequence %d", ErrOutOfOrder, b.ID, b.Epoch, b.Sequence)
	}
	known := p.producers[b.ID]
	if known == nil {
		return before, nil
	}
	if b.Epoch < known.epoch {
		return before, fmt.Errorf("%w: producer %d: it is %d, not %d", ErrFenced, b.ID, known.epoch, b.Epoch)
	}
	if b.Epoch > known.epoch {
		return before, sequenceMustBe(b, 0)
	}
	for i := range known.batches {
		if then := known.batches[i]; then.sequence == b.Sequence && then.count == b.count {
			return then, ErrDuplicate
		}
	}
	last := known.batches[len(known.batches)-1]
	return before, sequenceMustBe(b, addSequence(last.sequence, last.count))
}

func sequenceMustBe(b *producerBatch, want int32) error {
	if b.Sequence != want {
		return fmt.Errorf("%w: producer %d: %d is next, not %d", ErrOutOfOrder, b.ID, want, b.Sequence)
	}
	return nil
}

// remember takes in a batch, as it is appended or read.
func (p *Partition) remember(b *producerBatch, offset, time int64, at Position) {
	known := p.producers[b.ID]
	if known == nil {
		known = p.addProducer(b.ID, time)
	}
	if known.epoch != b.Epoch {
		known.epoch, known.batches = b.Epoch, nil
	}
	known.time = time
	if n := len(known.batches); n == rememberedBatches {
		known.batches = append(known.batches[:0], known.batches[1:]...)
	}
	known.batches = append(known.batches, appendedBatch{b.Sequence, b.count, offset, at})
}

func (p *Partition) addProducer(id, time int64) *producer {
	if p.producers == nil {
		p.producers = make(map[int64]*producer)
	}
	if p.j.producers >= p.j.mostProducers() {
		p.j.forgetProducers()
	}
	known := &producer{time: time, batches: make([]appendedBatch, 0, rememberedBatches)}
	p.producers[id] = known
	p.j.producers++
	return known
}

// What is remembered of producers is bounded: those that have appended nothing for producerAge ms are forgotten, and of more than
// maxProducers those that have been silent longest. One that was forgotten may begin with any sequence, as on Kafka.
const (
	producerAge   = 7 * 24 * 3600 * 1000
	maxProducers  = 10_000
	producerBytes = 3*binary.MaxVarintLen64 + rememberedBatches*(2*binary.MaxVarintLen32+2*binary.MaxVarintLen64)
)

// forgetProducers forgets those that have been silent too long, and makes room if there are too many.
func (j *Journal) forgetProducers() {
	before := j.time - producerAge
	if most := j.mostProducers(); j.producers >= most {
		before = max(before, j.lastHeard(most*7/8))
	}
	j.producers = 0
	for _, p := range j.partitions {
		maps.DeleteFunc(p.producers, func(_ int64, known *producer) bool { return known.time < before })
		j.producers += len(p.producers)
	}
}

// mostProducers leaves topics and commits the other half of a checkpoint.
func (j *Journal) mostProducers() int {
	return min(maxProducers, int(j.maxState()/2/producerBytes))
}

// lastHeard returns the time since which n producers have appended.
func (j *Journal) lastHeard(n int) int64 {
	times := make([]int64, 0, j.producers)
	for _, p := range j.partitions {
		for _, known := range p.producers {
			times = append(times, known.time)
		}
	}
	slices.Sort(times)
	return times[max(0, len(times)-n)]
}

func (p *Partition) appendProducers(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(p.producers)))
	for _, id := range slices.Sorted(maps.Keys(p.producers)) {
		known := p.producers[id]
		b = binary.AppendUvarint(b, uint64(id))
		b = binary.AppendUvarint(b, uint64(known.epoch))
		b = binary.AppendUvarint(b, uint64(known.time))
		b = binary.AppendUvarint(b, uint64(len(known.batches)))
		for _, batch := range known.batches {
			b = binary.AppendUvarint(b, uint64(batch.sequence))
			b = binary.AppendUvarint(b, uint64(batch.count))
			b = binary.AppendUvarint(b, uint64(batch.offset))
			b = binary.AppendUvarint(b, uint64(batch.at))
		}
	}
	return b
}

func (p *Partition) readProducers(d *decoder) {
	for range d.count() {
		id, epoch := d.int64(), int16(d.uint())
		known := p.addProducer(id, d.int64())
		known.epoch = epoch
		for range d.count() {
			known.batches = append(known.batches, appendedBatch{int32(d.uint()), int32(d.uint()), d.int64(), Position(d.uint())})
		}
	}
}

// producerIDs are given out from blocks, each an entry: next up to end may be given out.
type producerIDs struct {
	next, end int64
	at        Position // behind the entry of the block
}

const producerIDBlock = 1000

// NewProducerID returns an id that this journal has never given out and never will again.
func (j *Journal) NewProducerID() (int64, error) {
	id, at, err := j.takeProducerID()
	if err == nil {
		err = j.WaitDurable(context.Background(), at)
	}
	if err != nil {
		return 0, fmt.Errorf("give out a producer id: %w", err)
	}
	return id, nil
}

// takeProducerID returns an id and the position that must be durable before anybody hears of it.
func (j *Journal) takeProducerID() (id int64, at Position, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	ids := &j.producerIDs
	if ids.next == ids.end {
		const size = entryHeader + binary.MaxVarintLen64
		if err := j.admit(size); err != nil {
			return 0, 0, err
		}
		f := j.frameFor(size)
		start := len(f.buf)
		f.buf = binary.AppendUvarint(beginEntry(f.buf, producerEntry), uint64(ids.end+producerIDBlock))
		endEntry(f.buf, start)
		ids.end += producerIDBlock
		j.took(f)
		ids.at = j.appended
	}
	ids.next++
	return ids.next - 1, ids.at, nil
}
