package journal

import (
	"log/slog"
	"time"

	"stockflow/journal/files"
)

// Clock tells the time of the machine.
type Clock interface {
	Wall() time.Time     // as people set it
	Boot() time.Duration // since a moment that stays the same; goes on while the machine sleeps, and never goes back
}

// Options are how a journal is opened. The zero value is what a server uses.
type Options struct {
	Files       files.FS     // nil: the operating system's
	Log         *slog.Logger // nil: the default
	Clock       Clock        // nil: the machine's
	AcceptClock string       // the date, YYYY-MM-DD in UTC, that the operator confirms the clock shows; "" for none

	TailBytes int64         // size of a tail file; 0: 32 MiB
	MaxAhead  int64         // bytes that may be appended and not durable, then Append waits; 0: 64 MiB
	MaxTail   int64         // bytes of tail files that may not be sealed yet, then Append waits; 0: 256 MiB
	MaxRecent int64         // bytes of recent frames that are kept in memory; 0: 16 MiB
	Reserve   int64         // free bytes on the disk below which nothing is taken; 0: 256 MiB, negative: not asked
	Silence   time.Duration // how long a sync may take before those who wait get ErrSilent; 0: 5 s

	flaws flaws

	tidyByHand bool  // for tests: nothing is sealed, compacted or merged but by archiver.step
	copyBytes  int64 // how large the files are that a backup copies records to: so much is copied again after a kill; 0: 64 MiB
}

// What the journal takes, whatever the options.
const (
	maxRecord = 8 << 20  // bytes of key, value and headers
	maxAppend = 16 << 20 // bytes of one Append
	maxFrame  = 1 << 20  // a frame that has reached this is closed
)

func (o Options) withDefaults() Options {
	if o.Files == nil {
		o.Files = files.OS()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = machineClock{}
	}
	o = o.tortured()
	defaultTo(&o.TailBytes, 32<<20)
	defaultTo(&o.MaxAhead, 64<<20)
	defaultTo(&o.MaxTail, 256<<20)
	defaultTo(&o.MaxRecent, 16<<20)
	defaultTo(&o.copyBytes, 64<<20)
	defaultTo(&o.Reserve, 256<<20)
	defaultTo(&o.Silence, 5*time.Second)
	return o
}

func defaultTo[T int64 | time.Duration](value *T, to T) {
	if *value == 0 {
		*value = to
	}
}
