package views

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
)

// DeadLetters finds the dead letters, each once, however often it is in its log. It follows nobody: whoever asks waits
// until the log has been read to where it ends at that moment, so an answer is never older than its question. The first
// to ask waits for the whole log. Of a letter it keeps some 40 bytes in memory, which say where the letter is. Its
// methods may be called at once.
type DeadLetters struct {
	conn broker.Broker
	keep func(codecs.DeadLetter) bool
	turn chan struct{} // holds one token; whoever has taken it owns what follows

	next       map[int32]int64 // how far the log was read, by partition
	entries    []indexEntry    // in order, each letter once, up to sorted; behind that as they came
	sorted     int
	topics     []string // the names that slips refer to
	unreadable int
}

// DeadLetterID is the name of a letter: where the message was that could not be taken.
type DeadLetterID struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String returns the id as people write it: "order-events/3/1042".
func (id DeadLetterID) String() string {
	return fmt.Sprintf("%s/%d/%d", id.Topic, id.Partition, id.Offset)
}

// ParseDeadLetterID reads what String returns.
func ParseDeadLetterID(text string) (DeadLetterID, error) {
	var id DeadLetterID
	parts := strings.Split(text, "/")
	if len(parts) == 3 {
		partition, err1 := strconv.ParseInt(parts[1], 10, 32)
		offset, err2 := strconv.ParseInt(parts[2], 10, 64)
		if err1 == nil && err2 == nil {
			id = DeadLetterID{parts[0], int32(partition), offset}
		}
	}
	if id.Topic == "" || id.Partition < 0 || id.Offset < 0 || id.String() != text {
		return DeadLetterID{}, fmt.Errorf("%.100q is not the id of a dead letter, which is TOPIC/PARTITION/OFFSET, such as order-events/3/1042", text)
	}
	return id, nil
}

// DeadLetter is a dead letter.
type DeadLetter struct {
	codecs.DeadLetter
	Event    string // what the message says it is, as far as that can be told: "placed"
	Redriven int    // how often it was sent again
	Size     int    // of the message's value, in bytes
}

// ID returns the letter's name.
func (l DeadLetter) ID() DeadLetterID { return DeadLetterID{l.Topic, l.Partition, l.Offset} }

// Place returns the letter's place among all.
func (l DeadLetter) Place() DeadLetterPlace { return DeadLetterPlace{l.At, l.ID()} }

// DeadLetterPlace is a place in the order of the letters, which is that of their messages' times, and among equal times
// that of their names. It stays what it is, whatever comes before or behind it.
type DeadLetterPlace struct {
	At int64
	ID DeadLetterID
}

func comparePlaces(a, b DeadLetterPlace) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID.Topic, b.ID.Topic),
		cmp.Compare(a.ID.Partition, b.ID.Partition), cmp.Compare(a.ID.Offset, b.ID.Offset))
}

// NewDeadLetters returns the dead letters behind conn. keep, if it isn't nil, says which of them matter; the others are
// treated as if they were not there. It is called once for each record of the log, and must not keep the letter's bytes.
func NewDeadLetters(conn broker.Broker, keep func(codecs.DeadLetter) bool) *DeadLetters {
	if keep == nil {
		keep = func(codecs.DeadLetter) bool { return true }
	}
	l := &DeadLetters{conn: conn, keep: keep, turn: make(chan struct{}, 1), next: map[int32]int64{}}
	l.turn <- struct{}{}
	return l
}

// Page returns letters from the newest to the oldest, without their values and headers: at most limit, of one topic or
// of all if it is "", and all before a place, if there is one. more is whether there are others behind the page.
func (l *DeadLetters) Page(ctx context.Context, topic string, before *DeadLetterPlace, limit int) (page []DeadLetter, more bool, err error) {
	var picked []indexEntry
	err = l.ask(ctx, func() { picked, more = l.pick(topic, before, limit) })
	if err != nil || len(picked) == 0 {
		return nil, false, err
	}
	err = l.read(ctx, picked, func(letter DeadLetter) error { // all that is still there
		letter.Value, letter.Headers = nil, nil
		page = append(page, letter)
		return nil
	})
	slices.SortFunc(page, func(a, b DeadLetter) int { return comparePlaces(b.Place(), a.Place()) })
	return page, more, err
}

// pick chooses the slips of a page. The caller has the turn.
func (l *DeadLetters) pick(topic string, before *DeadLetterPlace, limit int) (picked []indexEntry, more bool) {
	end := len(l.entries)
	if before != nil {
		end, _ = l.find(*before)
	}
	for _, s := range slices.Backward(l.entries[:end]) {
		if !s.there || topic != "" && l.topics[s.topic] != topic {
			continue
		}
		if len(picked) == limit {
			return picked, true
		}
		picked = append(picked, s)
	}
	return picked, false
}

// Walk calls each with the letters that pick chooses by their names and how often they were sent again, one after the
// other, complete, and ends with the first error of each's. Letters of the same key come in the order of their messages.
// Those that come while it walks are not among them.
func (l *DeadLetters) Walk(ctx context.Context, pick func(id DeadLetterID, redriven int) bool, each func(DeadLetter) error) error {
	var picked []indexEntry
	err := l.ask(ctx, func() {
		for _, s := range l.entries {
			if s.there && pick(l.placeOf(s).ID, int(s.redriven)) {
				picked = append(picked, s)
			}
		}
	})
	if err != nil {
		return err
	}
	return l.read(ctx, picked, each)
}

// Redriven returns how often the letters of some places were sent again until now, 0 for one that isn't there.
func (l *DeadLetters) Redriven(ctx context.Context, places []DeadLetterPlace) (times []int, err error) {
	err = l.ask(ctx, func() {
		for _, place := range places {
			n := 0
			if i, there := l.find(place); there {
				n = int(l.entries[i].redriven)
			}
			times = append(times, n)
		}
	})
	return times, err
}

// find returns where a place is among the slips, or would be. The caller has the turn.
func (l *DeadLetters) find(place DeadLetterPlace) (i int, there bool) {
	return slices.BinarySearchFunc(l.entries, place, func(s indexEntry, p DeadLetterPlace) int { return comparePlaces(l.placeOf(s), p) })
}

// Unreadable returns how many records were in the log that are no dead letters.
func (l *DeadLetters) Unreadable(ctx context.Context) (n int, err error) {
	err = l.ask(ctx, func() { n = l.unreadable })
	return n, err
}

// ask waits for the turn, catches up with the log, and has the question answered.
func (l *DeadLetters) ask(ctx context.Context, answer func()) error {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { l.turn <- struct{}{} }()
	if err := l.catchUp(ctx); err != nil {
		return fmt.Errorf("reading %s: %w", engine.DeadLetters, err)
	}
	answer()
	return nil
}
