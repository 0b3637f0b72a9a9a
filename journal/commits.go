package journal

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// commit is an entry that says how far a group has come, by partition number.
type commit struct {
	group   string
	offsets map[uint32]Committed
}

// groups are the newest commits, by group and partition number.
type groups map[string]map[uint32]Committed

func (g groups) take(c commit) {
	if g[c.group] == nil {
		g[c.group] = make(map[uint32]Committed)
	}
	maps.Copy(g[c.group], c.offsets)
}

// Bounds of what a checkpoint has to hold of a commit; those of metadata and group are Kafka's.
const (
	maxMetadata    = 4096
	maxGroupName   = 1024
	groupOverhead  = 2 * binary.MaxVarintLen32
	commitOverhead = 2*binary.MaxVarintLen32 + binary.MaxVarintLen64
)

// grows returns how many bytes more a checkpoint has after the commit.
func (g groups) grows(c commit) int64 {
	known, bytes := g[c.group], int64(0)
	if known == nil {
		bytes = int64(len(c.group)) + groupOverhead
	}
	for n, o := range c.offsets {
		bytes += int64(len(o.Metadata))
		if before, is := known[n]; is {
			bytes -= int64(len(before.Metadata))
		} else {
			bytes += commitOverhead
		}
	}
	return bytes
}

// Commit appends how far a group has come in some partitions. What lies before it in the order, records and commits,
// is there whenever the commit is.
func (j *Journal) Commit(group string, offsets map[TopicPartition]Committed) (Position, error) {
	at, err := j.appendCommit(group, offsets)
	if err != nil {
		return 0, fmt.Errorf("commit of group %s: %w", group, err)
	}
	return at, nil
}

func (j *Journal) appendCommit(group string, offsets map[TopicPartition]Committed) (Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c, size, err := j.newCommit(group, offsets)
	if err != nil {
		return 0, err
	}
	if err := j.admit(size); err != nil {
		return 0, err
	}
	if err := j.keeps(j.commits[Appended].grows(c)); err != nil {
		return 0, err
	}
	f := j.frameFor(size)
	f.buf = c.append(f.buf)
	f.commits = append(f.commits, c)
	j.commit(c)
	j.took(f)
	return j.appended, nil
}

// commit takes in a commit, as it is appended or read.
func (j *Journal) commit(c commit) {
	j.stateBytes += j.commits[Appended].grows(c)
	j.commits[Appended].take(c)
}

// newCommit returns a commit and the size of its entry at most.
func (j *Journal) newCommit(group string, offsets map[TopicPartition]Committed) (c commit, size int, err error) {
	if len(group) > maxGroupName {
		return c, 0, fmt.Errorf("%w: a name of %d bytes, more than %d", ErrTooLarge, len(group), maxGroupName)
	}
	c = commit{group: group, offsets: make(map[uint32]Committed, len(offsets))}
	size = entryHeader + groupOverhead + len(group)
	for tp, o := range offsets {
		p := j.Partition(tp.Topic, tp.Partition)
		if p == nil {
			return c, 0, fmt.Errorf("%s/%d: %w", tp.Topic, tp.Partition, ErrUnknownTopic)
		}
		if len(o.Metadata) > maxMetadata {
			return c, 0, fmt.Errorf("%s/%d: %w: metadata of %d bytes, more than %d", tp.Topic, tp.Partition, ErrTooLarge, len(o.Metadata), maxMetadata)
		}
		if o.Offset < 0 {
			return c, 0, fmt.Errorf("%s/%d: offset %d: %w", tp.Topic, tp.Partition, o.Offset, ErrOutOfRange)
		}
		c.offsets[p.number] = o
		size += len(o.Metadata) + commitOverhead
	}
	return c, size, nil
}

func (c commit) append(b []byte) []byte {
	at := len(b)
	b = c.appendBody(beginEntry(b, commitEntry))
	endEntry(b, at)
	return b
}

func (c commit) appendBody(b []byte) []byte {
	b = appendString(b, c.group)
	b = binary.AppendUvarint(b, uint64(len(c.offsets)))
	for _, n := range slices.Sorted(maps.Keys(c.offsets)) {
		b = binary.AppendUvarint(b, uint64(n))
		b = binary.AppendUvarint(b, uint64(c.offsets[n].Offset))
		b = appendString(b, c.offsets[n].Metadata)
	}
	return b
}

func readCommit(d *decoder) commit {
	c := commit{group: d.string()}
	n := d.count()
	c.offsets = make(map[uint32]Committed, n)
	for range n {
		partition := uint32(d.uint())
		c.offsets[partition] = Committed{Offset: d.int64(), Metadata: d.string()}
	}
	return c
}

// Committed returns how far a group has come, in the partitions that it has committed.
func (j *Journal) Committed(group string, h Horizon) map[TopicPartition]Committed {
	j.mu.Lock()
	defer j.mu.Unlock()
	offsets := make(map[TopicPartition]Committed)
	for n, o := range j.commits[h][group] {
		p := j.partitions[n]
		offsets[TopicPartition{p.topic.Name, p.n}] = o
	}
	return offsets
}

// Groups returns the names of the groups that have committed, sorted.
func (j *Journal) Groups() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.commits[Appended]))
}
