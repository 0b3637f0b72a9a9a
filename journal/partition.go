package journal

import (
	"context"
	"fmt"
	"sort"
)

// Partition is a sequence of records within a topic. Its methods may be called at once.
type Partition struct {
	j      *Journal
	topic  *topic
	n      int32
	number uint32 // over all topics, as entries name it

	// The journal's mutex guards what follows.
	end       [2]int64         // by horizon
	unsealed  int64            // the offset from which on records are in tail files
	runs      []*run           // of the tail files that have records, oldest first
	wake      [2]chan struct{} // by horizon; closed at the next record; nil if nobody waits
	producers map[int64]*producer
	followers followers // of a table
	open      *frame    // the frame that touched it last, and its place in the frame's ends
	openAt    int
}

// Topic returns the topic that the partition belongs to.
func (p *Partition) Topic() Topic { return p.topic.Topic }

// Number returns the number of the partition within its topic.
func (p *Partition) Number() int32 { return p.n }

// String returns topic/number.
func (p *Partition) String() string { return fmt.Sprintf("%s/%d", p.topic.Name, p.n) }

// Bounds returns the offset of the first record, and the one behind the last that the horizon shows.
func (p *Partition) Bounds(h Horizon) (start, end int64) {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	return 0, p.end[h]
}

// wakeUp wakes those who wait for more at a horizon.
func (p *Partition) wakeUp(h Horizon) {
	if p.wake[h] != nil {
		close(p.wake[h])
		p.wake[h] = nil
	}
}

// FindTime returns the offset and time of the first record at or after a time in ms, false if the horizon shows none.
// What is damaged is passed over, and told by Health.
func (p *Partition) FindTime(ms int64, h Horizon) (offset, at int64, found bool) {
	p.j.mu.Lock()
	from, end := p.unsealed, p.end[h]
	sealed := p.j.retainArchive()
	p.j.mu.Unlock()
	if sealed != nil {
		defer sealed.release()
		offset, at, found, err := sealed.findTime(p, ms)
		if err != nil {
			p.j.reportDamage(err)
		}
		if found {
			return offset, at, found
		}
	}
	c := p.Follow(from, h)
	defer c.leave()
	n := sort.Search(int(end-from), func(i int) bool {
		r, ok := c.at(from + int64(i))
		return ok && r.Time >= ms
	})
	r, ok := c.at(from + int64(n))
	return r.Offset, r.Time, ok
}

// Read calls each for the records from one offset to before another, as far as the horizon shows them; it doesn't wait.
// It ends with the first error that each returns.
func (p *Partition) Read(ctx context.Context, from, to int64, h Horizon, each func(Record) error) error {
	c := p.Follow(from, h)
	defer c.leave()
	for c.Offset() < to {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read %s: %w", p, err)
		}
		records, err := c.Try(readBytes)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		if err := eachBefore(to, records, each); err != nil {
			return err
		}
	}
	return nil
}

// readBytes is how much Read asks for at once.
const readBytes = 1 << 20

func eachBefore(to int64, records []Record, each func(Record) error) error {
	for _, r := range records {
		if r.Offset >= to {
			return nil
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}
