package history

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/syndtr/goleveldb/leveldb"

	"stockflow/codecs"
	"stockflow/engine"
)

// Moment is a row as it was.
type Moment struct {
	Log       string
	Partition int32
	Offset    int64  // of the last message of the key up to then
	At        int64  // the time of that message, in milliseconds since 1970
	Row       []byte // nil if messages of the key had come, and none of them made a row
}

// Unborn says that no message of a key had come by then.
type Unborn struct {
	Since int64 // when the first came, 0 if none has
}

func (u *Unborn) Error() string { return "no message of the key had come by then" }

// BeforeLog says that a time lies before the first message of a log, of which nothing has expired.
type BeforeLog struct {
	Log   string
	First int64 // the time of that
}

func (b *BeforeLog) Error() string { return fmt.Sprintf("it is before %s begins", b.Log) }

// Expired says that a log doesn't begin at its beginning any more, so that its rows can't be folded.
type Expired struct {
	Log       string
	Partition int32
	Begin     int64
}

func (e *Expired) Error() string {
	return fmt.Sprintf("the log %s/%d begins at offset %d: what was before has expired, so its rows can't be folded", e.Log, e.Partition, e.Begin)
}

// Beyond says that an offset is none of a log's.
type Beyond struct {
	Log       string
	Partition int32
	End       int64
}

func (b *Beyond) Error() string {
	return fmt.Sprintf("%s/%d has offsets from 0 to %d", b.Log, b.Partition, b.End-1)
}

// At returns the row of a key of a log as the messages up to a time made it. The error is an *Unborn, a *BeforeLog, an
// *Expired, a *Stopped, a *Behind when ctx ends before the history has come so far, or ErrUnreachable.
func (h *History) At(ctx context.Context, log, key string, at int64) (Moment, error) {
	a := h.of(log, key)
	now, err := h.ends(ctx)
	if err != nil {
		return Moment{}, err
	}
	end := now.end(log, a.partition)
	if a.at().Latest > at {
		end = 0 // what comes now is later
	}
	if err := a.await(ctx, end, now.end(engine.DeadLetters, a.partition)); err != nil {
		return Moment{}, err
	}
	m, err := a.momentBy(key, at)
	if !errors.As(err, new(*Unborn)) {
		return m, err
	}
	first, failed := h.first(ctx, log, now)
	if failed != nil {
		return m, failed
	}
	return m, early(err, log, first, at)
}

// early makes of an *Unborn a *BeforeLog where nothing had come to the log by then. It comes last: a log that has lost its beginning
// doesn't tell when that was, and a history may remember what the log doesn't have any more. first is 0 where it isn't known.
func early(err error, log string, first, at int64) error {
	if first != 0 && at < first && errors.As(err, new(*Unborn)) {
		return &BeforeLog{log, first}
	}
	return err
}

// AtOffset returns the row of a key of a log as it was after the message at an offset of its partition. The error may be a
// *Beyond, or one of At's.
func (h *History) AtOffset(ctx context.Context, log, key string, offset int64) (Moment, error) {
	a := h.of(log, key)
	now, err := h.ends(ctx)
	if err != nil {
		return Moment{}, err
	}
	end := now.end(log, a.partition)
	if offset < 0 || offset >= end {
		return Moment{}, &Beyond{log, a.partition, end}
	}
	if err := a.await(ctx, offset+1, now.end(engine.DeadLetters, a.partition)); err != nil {
		return Moment{}, err
	}
	return a.momentAt(key, offset)
}

// first returns the time of the first message of a log, 0 if it is empty, or if its beginning had expired when the history
// began. The error is a *Behind when ctx ends before the history has come so far.
func (h *History) first(ctx context.Context, log string, now bounds) (int64, error) {
	first := int64(0)
	for _, a := range h.annals[log] {
		m := a.at()
		if m.Begin > 0 {
			return 0, nil
		}
		if m.First == 0 {
			if err := a.await(ctx, now.end(log, a.partition), 0); err != nil {
				return 0, err
			}
			m = a.at()
		}
		if m.First != 0 && (first == 0 || m.First < first) {
			first = m.First
		}
	}
	return first, nil
}

// momentBy returns the row of a key as it was at a time.
func (a *partitionHistory) momentBy(key string, at int64) (Moment, error) {
	return a.moment(key, func(r leveldb.Reader) (int64, error) { return a.lastBy(r, key, at) })
}

// momentAt returns the row of a key as it was after the message at an offset.
func (a *partitionHistory) momentAt(key string, offset int64) (Moment, error) {
	if end := a.at().Next; offset < 0 || offset >= end {
		return Moment{}, &Beyond{a.machine.Log, a.partition, end}
	}
	return a.moment(key, func(r leveldb.Reader) (int64, error) { return a.lastBefore(r, key, offset+1) })
}

func (a *partitionHistory) moment(key string, find func(leveldb.Reader) (int64, error)) (m Moment, err error) {
	if begin := a.at().Begin; begin > 0 {
		return m, &Expired{a.machine.Log, a.partition, begin}
	}
	err = a.view(func(r leveldb.Reader) error {
		last, err := find(r)
		if err != nil {
			return err
		}
		if last < 0 {
			since, err := a.firstTime(r, key)
			if err == nil {
				err = &Unborn{since}
			}
			return err
		}
		return a.walk(r, key, last, last, func(s Step) error {
			m = Moment{a.machine.Log, a.partition, s.Offset, s.By, s.After}
			return nil
		})
	})
	return m, err
}

// Event is what a message did, and where what it sent has landed.
type Event struct {
	Step
	Log    string
	Caused []Effect // by their index
}

// Effect is an output of a message.
type Effect struct {
	engine.Output
	Partition int32
	Offset    int64 // where it landed, -1 while it has not
}

// Events returns what the messages of a key did that lie behind an offset, -1 to begin with the first: at most limit of
// them. more is whether others lie behind those. The errors are those of At, but for those of a time.
func (h *History) Events(ctx context.Context, log, key string, after int64, limit int) (events []Event, more bool, err error) {
	a := h.of(log, key)
	now, err := h.ends(ctx)
	if err != nil {
		return nil, false, err
	}
	if err := a.await(ctx, now.end(log, a.partition), now.end(engine.DeadLetters, a.partition)); err != nil {
		return nil, false, err
	}
	if begin := a.at().Begin; begin > 0 {
		return nil, false, &Expired{log, a.partition, begin}
	}
	size := 0
	err = a.view(func(r leveldb.Reader) error {
		return a.walk(r, key, after+1, math.MaxInt64, func(s Step) error {
			if len(events) == limit || size >= pageBytes {
				more = true
				return errEnough
			}
			events = append(events, Event{Step: s, Log: log})
			size += len(s.Before) + len(s.After)
			return nil
		})
	})
	if stopped := new(Stopped); errors.As(err, &stopped) && len(events) > 0 {
		more, err = true, nil // what came before is told nevertheless
	}
	if err != nil {
		return nil, false, err
	}
	for i := range events {
		if err := h.trace(ctx, &events[i], now); err != nil {
			return nil, false, err
		}
	}
	return events, more, nil
}

// pageBytes is how many bytes of rows are enough for a page.
const pageBytes = 4 << 20

// trace finds where the outputs of a message have landed.
func (h *History) trace(ctx context.Context, e *Event, now bounds) error {
	for i, o := range e.Outputs {
		origin := codecs.Origin{Log: e.Log, Partition: e.Partition, Offset: e.Offset, Index: int32(i)}
		partition, offset, err := h.landed(ctx, o.Log, o.Key, origin, now)
		if err != nil {
			return err
		}
		e.Caused = append(e.Caused, Effect{o, partition, offset})
	}
	return nil
}

// landed returns where the message with an origin and a key is in a log, an offset of -1 if it isn't there.
func (h *History) landed(ctx context.Context, log, key string, o codecs.Origin, now bounds) (partition int32, offset int64, err error) {
	a := h.of(log, key)
	find := func(r leveldb.Reader) (err error) {
		offset, err = a.landed(r, key, o)
		return err
	}
	if err = a.view(find); err != nil || offset >= 0 {
		return a.partition, offset, err
	}
	if err = a.await(ctx, now.end(log, a.partition), 0); err == nil { // it may not have been read yet
		err = a.view(find)
	}
	return a.partition, offset, err
}

// Ends are where the logs ended at a moment.
type Ends struct{ bounds }

// Ends asks the broker where the logs end now, for those who have many questions. The error is ErrUnreachable, or a
// *Behind before the history has begun.
func (h *History) Ends(ctx context.Context) (Ends, error) {
	now, err := h.ends(ctx)
	return Ends{now}, err
}

// Landed returns where an output of a message has landed, an offset of -1 if it had not when the logs ended at now.
func (h *History) Landed(ctx context.Context, log, key string, o codecs.Origin, now Ends) (partition int32, offset int64, err error) {
	return h.landed(ctx, log, key, o, now.bounds)
}

// Walk calls each with what the messages of a key did, from the first on, up to and with the one at an offset to.
func (h *History) Walk(ctx context.Context, log, key string, to int64, each func(Step) error) error {
	return h.walk(ctx, log, key, 0, to, each)
}

// Step returns what the message at an offset did to the row of its key. found is false if that isn't a message of the
// key's.
func (h *History) Step(ctx context.Context, log, key string, offset int64) (s Step, found bool, err error) {
	err = h.walk(ctx, log, key, offset, offset, func(step Step) error {
		s, found = step, true
		return nil
	})
	return s, found, err
}

func (h *History) walk(ctx context.Context, log, key string, from, to int64, each func(Step) error) error {
	a := h.of(log, key)
	if err := a.await(ctx, to+1, 0); err != nil {
		return err
	}
	if begin := a.at().Begin; begin > 0 {
		return &Expired{log, a.partition, begin}
	}
	return a.view(func(r leveldb.Reader) error { return a.walk(r, key, from, to, each) })
}
