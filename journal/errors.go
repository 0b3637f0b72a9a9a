package journal

import (
	"errors"
	"fmt"
	"time"
)

// What the journal refuses, and why. The errors that are returned wrap these, and say what was being done.
var (
	ErrBroken          = errors.New("the journal can't be written") // a write or sync failed; for good
	ErrFull            = errors.New("the disk is full")             // nothing was appended; passes when there is room again
	ErrSilent          = errors.New("the disk doesn't answer")      // the outcome of what was appended is unknown
	ErrReadOnly        = errors.New("the journal is open for reading only")
	ErrOutOfRange      = errors.New("out of range") // no such offset or position
	ErrTooLarge        = errors.New("too large")    // nothing was appended
	ErrClosed          = errors.New("the journal is closed")
	ErrDuplicate       = errors.New("the batch was appended before")                   // told with where that was
	ErrOutOfOrder      = errors.New("the sequence doesn't follow the producer's last") // nothing was appended
	ErrFenced          = errors.New("the producer's epoch is over")                    // nothing was appended
	ErrUnknownTopic    = errors.New("there is no such topic or partition")
	ErrDiffers         = errors.New("the topic exists and is not the same")
	ErrClock           = errors.New("the clock can't be right")                          // see ClockError
	ErrUnknownProducer = errors.New("the producer id was not given out by this journal") // nothing was appended
)

// DamageError says that the disk has lost or changed what was durable.
type DamageError struct {
	File     string
	Position Position // of the first entry that can't be read; 0: What says where it is
	What     string
}

// Error names the file and the position.
func (e *DamageError) Error() string {
	if e.Position == 0 {
		return fmt.Sprintf("%s is damaged: %s", e.File, e.What)
	}
	return fmt.Sprintf("%s is damaged at position %d: %s", e.File, e.Position, e.What)
}

// ClockError says that the journal isn't opened as the machine's clock is too far from the last record.
type ClockError struct {
	Wall, Last time.Time
}

// Error says what the clock shows, and how to confirm it.
func (e *ClockError) Error() string {
	return fmt.Sprintf("the clock shows %s, the last record is of %s: set the clock, or confirm it with --accept-clock=%s",
		e.Wall.UTC().Format(time.RFC3339), e.Last.UTC().Format(time.RFC3339), e.Wall.UTC().Format(time.DateOnly))
}

// Is reports whether target is ErrClock.
func (e *ClockError) Is(target error) bool { return target == ErrClock }
