package journal

import (
	"fmt"
	"time"
)

// guardRoom looks every second how much room the disk has, so that what is taken can be written and sealed. It ends with
// the journal.
func (j *Journal) guardRoom() {
	defer j.ended.Done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			j.checkRoom()
		case <-j.stop:
			return
		}
	}
}

// checkRoom refuses what is appended when the disk has less room than the reserve, and takes it again when there is a
// sixteenth more.
func (j *Journal) checkRoom() {
	if j.options.Reserve < 0 {
		return
	}
	free, err := j.options.Files.Free(j.dir)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.inBackground(guarding, err)
	if err != nil {
		return
	}
	j.free = free
	reserve := j.options.Reserve
	if j.full == nil && free < reserve {
		j.full = fmt.Errorf("%w: %d bytes are free, %d are kept in reserve", ErrFull, free, reserve)
		j.options.Log.Warn("the disk is full, nothing is appended until there is room", "dir", j.dir, "free", free, "reserve", reserve)
	}
	if j.full != nil && free >= reserve+reserve/16 {
		j.full = nil
		j.options.Log.Info("the disk has room again", "dir", j.dir, "free", free)
	}
	j.room.Broadcast()
}
