package journal

import (
	"fmt"
	"time"
)

// work in the background, whose errors are tried again.
const (
	preparing  = "prepare the next file"
	sealing    = "seal full files"
	tidying    = "compact and merge sealed files"
	guarding   = "ask for the free space"
	discarding = "remove a file that is sealed"
)

// inBackground remembers how work in the background went last. The mutex is held.
func (j *Journal) inBackground(work string, err error) {
	before := j.background[work]
	if err == nil {
		delete(j.background, work)
		return
	}
	j.background[work] = err
	if before == nil {
		j.options.Log.Error("work of the journal failed and is tried again", "work", work, "error", err)
	}
}

// reportBackground is inBackground for those who don't hold the mutex. It wakes those who wait for room, as they may have to
// be told.
func (j *Journal) reportBackground(work string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.inBackground(work, err)
	j.room.Broadcast()
}

// backgroundError returns an error of work that hasn't gone well since, or nil.
func (j *Journal) backgroundError() error {
	for _, work := range []string{preparing, sealing, tidying, guarding, discarding} {
		if err := j.background[work]; err != nil {
			return fmt.Errorf("%s: %w", work, err)
		}
	}
	return nil
}

// Work that failed is tried again after a while, which doubles.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// pause waits, and returns how long to wait next; false if the journal ends.
func (j *Journal) pause(d time.Duration) (time.Duration, bool) {
	d = max(d, firstPause)
	select {
	case <-time.After(d):
		return min(2*d, maxPause), true
	case <-j.stop:
		return 0, false
	}
}
