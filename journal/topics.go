package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"maps"
)

type topic struct {
	Topic
	partitions []*Partition
}

const (
	maxPartitions = 1024
	maxTopicName  = 249 // Kafka's bound
)

// CreateTopic returns the topic of that name, which is made if it doesn't exist; then it is durable. If it exists with
// another kind or another number of partitions the error is ErrDiffers, and says how.
func (j *Journal) CreateTopic(name string, k Kind, partitions int32) (Topic, error) {
	if err := checkTopic(name, k, partitions); err != nil {
		return Topic{}, fmt.Errorf("create topic %q: %w", name, err)
	}
	t, at, err := j.appendTopic(name, k, partitions)
	if err == nil {
		err = j.WaitDurable(context.Background(), at)
	}
	if err != nil {
		return Topic{}, fmt.Errorf("create topic %s: %w", name, err)
	}
	return t, nil
}

func checkTopic(name string, k Kind, partitions int32) error {
	if name == "" || len(name) > maxTopicName {
		return fmt.Errorf("name: must have 1 to %d bytes, has %d", maxTopicName, len(name))
	}
	if k != Log && k != Table {
		return fmt.Errorf("kind: must be log or table, is %s", k)
	}
	if partitions < 1 || partitions > maxPartitions {
		return fmt.Errorf("partitions: must be 1 to %d, are %d", maxPartitions, partitions)
	}
	return nil
}

// appendTopic returns the topic and the position that must be durable for it to exist.
func (j *Journal) appendTopic(name string, k Kind, partitions int32) (Topic, Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := j.topicOf(name); t != nil {
		return t.Topic, j.appended, t.differs(k, partitions)
	}
	t := &topic{Topic: Topic{Name: name, Kind: k, Partitions: partitions}}
	if _, err := rand.Read(t.ID[:]); err != nil {
		return Topic{}, 0, err
	}
	size := entryHeader + len(name) + topicOverhead
	if err := j.admit(size); err != nil {
		return Topic{}, 0, err
	}
	if again := j.topicOf(name); again != nil { // made by another, while this one waited
		return again.Topic, j.appended, again.differs(k, partitions)
	}
	if err := j.keeps(t.kept()); err != nil {
		return Topic{}, 0, err
	}
	f := j.frameFor(size)
	f.buf = t.append(f.buf)
	j.addTopic(t)
	j.took(f)
	return t.Topic, j.appended, nil
}

// topicOverhead is more than what a topic takes beside its name.
const topicOverhead = 40

// kept is how many bytes of a checkpoint the topic takes, without producers, at most.
func (t *topic) kept() int64 {
	return int64(len(t.Name)) + topicOverhead + int64(t.Partitions)*2*binary.MaxVarintLen64
}

func (t *topic) differs(k Kind, partitions int32) error {
	if t.Kind != k {
		return fmt.Errorf("%w: it is a %s, not a %s", ErrDiffers, t.Kind, k)
	}
	if t.Partitions != partitions {
		return fmt.Errorf("%w: it has %d partitions, not %d", ErrDiffers, t.Partitions, partitions)
	}
	return nil
}

func (t *topic) append(b []byte) []byte {
	at := len(b)
	b = t.appendBody(beginEntry(b, topicEntry))
	endEntry(b, at)
	return b
}

func (t *topic) appendBody(b []byte) []byte {
	b = appendString(b, t.Name)
	b = append(b, t.ID[:]...)
	b = append(b, byte(t.Kind))
	return binary.AppendUvarint(b, uint64(t.Partitions))
}

func readTopic(d *decoder) *topic {
	t := &topic{}
	t.Name = d.string()
	copy(t.ID[:], d.take(uint64(len(t.ID))))
	t.Kind = Kind(d.byte())
	t.Partitions = int32(d.uint())
	if t.Partitions > maxPartitions {
		d.failed = true
	}
	return t
}

// addTopic gives the topic its partitions. They are numbered over all topics, in the order in which those were made.
func (j *Journal) addTopic(t *topic) {
	for n := range t.Partitions {
		p := &Partition{j: j, topic: t, n: n, number: uint32(len(j.partitions))}
		t.partitions = append(t.partitions, p)
		j.partitions = append(j.partitions, p)
	}
	j.stateBytes += t.kept()
	topics := maps.Clone(*j.topics.Load())
	topics[t.Name] = t
	j.topics.Store(&topics)
	j.inOrder = append(j.inOrder, t)
}

// Topics returns all topics, in the order in which they were made.
func (j *Journal) Topics() []Topic {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]Topic, len(j.inOrder))
	for i, t := range j.inOrder {
		all[i] = t.Topic
	}
	return all
}

// topicOf returns the topic of a name, nil if there is none. The mutex isn't needed.
func (j *Journal) topicOf(name string) *topic { return (*j.topics.Load())[name] }

// Partition returns a partition of a topic, nil if there is none.
func (j *Journal) Partition(topic string, n int32) *Partition {
	t := j.topicOf(topic)
	if t == nil || n < 0 || n >= t.Partitions {
		return nil
	}
	return t.partitions[n]
}
