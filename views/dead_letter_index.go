package views

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/processors"
)

// indexEntry says where a letter is, and how often it was sent again. It may be that of a note whose letter is gone or
// was not kept: then it is not there.
type indexEntry struct {
	at       int64 // the message's time in its log; with its name, the order of the letters
	offset   int64 // of the message
	position int64 // of the letter in the dead letters
	in       int32 // the partition of the dead letters that it is in
	of       int32 // the message's partition
	topic    uint16
	redriven uint16
	there    bool
}

// catchUp reads the log from where it was read up to, to its end. What was read stays read, if ctx ends before.
func (l *DeadLetters) catchUp(ctx context.Context) error {
	starts, ends, err := l.bounds(ctx)
	if err != nil {
		return err
	}
	for p, next := range l.next {
		if end, ok := ends[lettersAt(p)]; !ok || end < next { // another log of that name
			l.next, l.entries, l.sorted, l.unreadable = map[int32]int64{}, nil, 0, 0
			break
		}
	}
	defer l.sort()
	for at, end := range ends {
		from := max(starts[at], l.next[at.Partition])
		err := l.conn.Read(ctx, engine.DeadLetters, at.Partition, from, end, func(r *kgo.Record) error {
			l.take(r)
			l.next[r.Partition] = r.Offset + 1
			return nil
		})
		if err != nil {
			return err
		}
		l.next[at.Partition] = end
	}
	return nil
}

func lettersAt(partition int32) broker.TopicPartition {
	return broker.TopicPartition{Topic: engine.DeadLetters, Partition: partition}
}

// findTimeout is how long the ends of the log are asked for.
const findTimeout = 4 * time.Second

// bounds returns where the log begins and ends. One that isn't there has none.
func (l *DeadLetters) bounds(ctx context.Context) (starts, ends map[broker.TopicPartition]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	topics, err := l.conn.Topics(ctx, engine.DeadLetters)
	if err != nil || len(topics) == 0 {
		return nil, nil, err
	}
	if ends, err = l.conn.Ends(ctx, engine.DeadLetters); err != nil {
		return nil, nil, err
	}
	starts, err = l.conn.Starts(ctx, engine.DeadLetters)
	return starts, ends, err
}

// take makes a slip of a record.
func (l *DeadLetters) take(r *kgo.Record) {
	d, err := codecs.DecodeDeadLetter(r.Value)
	topic, ok := l.topicOf(d.Topic)
	if err != nil || !ok {
		l.unreadable++
		return
	}
	if d.Redrive == nil && !d.IsMessage() {
		return // a request to skip a message
	}
	s := indexEntry{
		at: d.At, offset: d.Offset, of: d.Partition, topic: topic,
		in: r.Partition, position: r.Offset, there: d.IsMessage() && l.keep(d),
	}
	if d.Redrive != nil {
		s.redriven = 1
	}
	l.entries = append(l.entries, s)
}

// topicOf returns the number of a topic's name, and whether it has one: the real ones are few.
func (l *DeadLetters) topicOf(name string) (number uint16, ok bool) {
	if i := slices.Index(l.topics, name); i >= 0 {
		return uint16(i), true
	}
	if name == "" || len(l.topics) == maxTopics {
		return 0, false
	}
	l.topics = append(l.topics, name)
	return uint16(len(l.topics) - 1), true
}

const maxTopics = 1000

func (l *DeadLetters) placeOf(s indexEntry) DeadLetterPlace {
	return DeadLetterPlace{s.at, DeadLetterID{l.topics[s.topic], s.of, s.offset}}
}

// sort puts what has come into its place, and makes one of the slips of each letter.
func (l *DeadLetters) sort() {
	fresh := l.entries[l.sorted:]
	if len(fresh) == 0 {
		return
	}
	from, _ := slices.BinarySearchFunc(l.entries[:l.sorted], slices.MinFunc(fresh, l.compare), l.compare)
	slices.SortStableFunc(l.entries[from:], l.compare)
	kept := l.entries[:from]
	for _, s := range l.entries[from:] {
		if n := len(kept); n > from && l.compare(kept[n-1], s) == 0 {
			kept[n-1] = kept[n-1].with(s)
			continue
		}
		kept = append(kept, s)
	}
	l.entries, l.sorted = kept, len(kept)
}

func (l *DeadLetters) compare(a, b indexEntry) int { return comparePlaces(l.placeOf(a), l.placeOf(b)) }

// with returns what two slips of a letter say together: where it is first, and how often it was sent again.
func (s indexEntry) with(other indexEntry) indexEntry {
	redriven := s.redriven + min(other.redriven, ^s.redriven)
	if !s.there && other.there {
		s = other
	}
	s.redriven = redriven
	return s
}

// nearby is how many records are rather read than skipped.
const nearby = 256

// read calls each with the letters of slips, in the order in which they lie in the log.
func (l *DeadLetters) read(ctx context.Context, slips []indexEntry, each func(DeadLetter) error) error {
	slips = slices.SortedFunc(slices.Values(slips), func(a, b indexEntry) int {
		return cmp.Or(cmp.Compare(a.in, b.in), cmp.Compare(a.position, b.position))
	})
	for len(slips) > 0 {
		n := 1
		for n < len(slips) && slips[n].in == slips[0].in && slips[n].position-slips[n-1].position <= nearby {
			n++
		}
		if err := l.readRun(ctx, slips[:n], each); err != nil {
			return err
		}
		slips = slips[n:]
	}
	return nil
}

// readRun reads slips that lie close together.
func (l *DeadLetters) readRun(ctx context.Context, slips []indexEntry, each func(DeadLetter) error) error {
	first, last := slips[0], slips[len(slips)-1]
	return l.conn.Read(ctx, engine.DeadLetters, first.in, first.position, last.position+1, func(r *kgo.Record) error {
		for len(slips) > 0 && slips[0].position < r.Offset {
			slips = slips[1:] // has been deleted meanwhile
		}
		if len(slips) == 0 || slips[0].position != r.Offset {
			return nil
		}
		d, err := codecs.DecodeDeadLetter(r.Value)
		if err != nil {
			return err
		}
		return each(DeadLetter{
			DeadLetter: d, Event: processors.EventOf(d), Redriven: int(slips[0].redriven), Size: sizeOf(d),
		})
	})
}

// sizeOf returns how large the value is that a message had.
func sizeOf(d codecs.DeadLetter) int {
	if d.Cut != nil {
		return int(d.Cut.Size)
	}
	return len(d.Value)
}
