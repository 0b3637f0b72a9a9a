package journal

import "time"

// Stats are what the journal tells about itself.
type Stats struct {
	Appended, Durable Position
	Ahead             int64 // bytes that are appended and not durable

	TailFiles   int
	TailBytes   int64 // in frames that aren't sealed
	SealedFiles int
	SealedBytes int64
	Free        int64 // bytes on the disk, when it was last asked

	Syncs    uint64 // writes that were made durable
	SyncTime time.Duration
	LastSync time.Duration

	Background error // of work in the background that failed and is tried again
}

// Stats returns what the journal tells about itself.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Stats{
		Appended: j.appended, Durable: j.durable, Ahead: j.ahead,
		TailFiles: len(j.tails), Free: j.free,
		Syncs: j.syncs, SyncTime: j.syncTime, LastSync: j.lastSync,
		Background: j.backgroundError(),
	}
	for _, t := range j.tails {
		s.TailBytes += t.end - tailHeader
	}
	if j.archive != nil {
		s.SealedFiles, s.SealedBytes = j.archive.size()
	}
	return s
}
