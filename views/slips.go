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

// slip says where a letter is, and how often it was sent again. It may be that of a note whose letter is gone or
// was not kept: then it is not there.
type slip struct {
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
func (l *Letters) catchUp(ctx context.Context) error {
	starts, ends, err := l.bounds(ctx)
	if err != nil {
		return err
	}
	for p, next := range l.next {
		if end, ok := ends[lettersAt(p)]; !ok || end < next { // another log of that name
			l.next, l.slips, l.sorted, l.unreadable = map[int32]int64{}, nil, 0, 0
			break
		}
	}
	defer l.sort()
	for at, end := range ends {
		from := max(starts[at], l.next[at.Partition])
		err := l.conn.Read(ctx, engine.Letters, at.Partition, from, end, func(r *kgo.Record) error {
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
	return broker.TopicPartition{Topic: engine.Letters, Partition: partition}
}

// findPatience is how long the ends of the log are asked for.
const findPatience = 4 * time.Second

// bounds returns where the log begins and ends. One that isn't there has none.
func (l *Letters) bounds(ctx context.Context) (starts, ends map[broker.TopicPartition]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, findPatience)
	defer cancel()
	topics, err := l.conn.Topics(ctx, engine.Letters)
	if err != nil || len(topics) == 0 {
		return nil, nil, err
	}
	if ends, err = l.conn.Ends(ctx, engine.Letters); err != nil {
		return nil, nil, err
	}
	starts, err = l.conn.Starts(ctx, engine.Letters)
	return starts, ends, err
}

// take makes a slip of a record.
func (l *Letters) take(r *kgo.Record) {
	d, err := codecs.DecodeDeadLetter(r.Value)
	topic, ok := l.topicOf(d.Topic)
	if err != nil || !ok {
		l.unreadable++
		return
	}
	if d.Redrive == nil && !d.IsLetter() {
		return // a request to skip a message
	}
	s := slip{
		at: d.At, offset: d.Offset, of: d.Partition, topic: topic,
		in: r.Partition, position: r.Offset, there: d.IsLetter() && l.keep(d),
	}
	if d.Redrive != nil {
		s.redriven = 1
	}
	l.slips = append(l.slips, s)
}

// topicOf returns the number of a topic's name, and whether it has one: the real ones are few.
func (l *Letters) topicOf(name string) (number uint16, ok bool) {
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

func (l *Letters) placeOf(s slip) LetterPlace {
	return LetterPlace{s.at, LetterID{l.topics[s.topic], s.of, s.offset}}
}

// sort puts what has come into its place, and makes one of the slips of each letter.
func (l *Letters) sort() {
	fresh := l.slips[l.sorted:]
	if len(fresh) == 0 {
		return
	}
	from, _ := slices.BinarySearchFunc(l.slips[:l.sorted], slices.MinFunc(fresh, l.compare), l.compare)
	slices.SortStableFunc(l.slips[from:], l.compare)
	kept := l.slips[:from]
	for _, s := range l.slips[from:] {
		if n := len(kept); n > from && l.compare(kept[n-1], s) == 0 {
			kept[n-1] = kept[n-1].with(s)
			continue
		}
		kept = append(kept, s)
	}
	l.slips, l.sorted = kept, len(kept)
}

func (l *Letters) compare(a, b slip) int { return comparePlaces(l.placeOf(a), l.placeOf(b)) }

// with returns what two slips of a letter say together: where it is first, and how often it was sent again.
func (s slip) with(other slip) slip {
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
func (l *Letters) read(ctx context.Context, slips []slip, each func(Letter) error) error {
	slips = slices.SortedFunc(slices.Values(slips), func(a, b slip) int {
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
func (l *Letters) readRun(ctx context.Context, slips []slip, each func(Letter) error) error {
	first, last := slips[0], slips[len(slips)-1]
	return l.conn.Read(ctx, engine.Letters, first.in, first.position, last.position+1, func(r *kgo.Record) error {
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
		return each(Letter{
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
