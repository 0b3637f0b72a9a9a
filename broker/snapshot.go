package broker

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// snapshot is the server's file about a partition, in the server's format (kfake's persist.go, version 1). The server believes
// it if the sizes are those of the files, and checks the offsets against them even then.
type snapshot struct {
	Version          int               `json:"version"`
	HighWatermark    int64             `json:"high_watermark"`
	LastStableOffset int64             `json:"last_stable_offset"`
	LogStartOffset   int64             `json:"log_start_offset"`
	Epoch            int32             `json:"epoch"`
	CreatedAt        time.Time         `json:"created_at"`
	AbortedTxns      []json.RawMessage `json:"aborted_txns,omitempty"`
	Segments         []snapshotSegment `json:"segments"`
}

type snapshotSegment struct {
	Base int64 `json:"base_offset"`
	Size int64 `json:"size"`
}

const (
	snapshotName    = "snapshot.json"
	snapshotVersion = 1
)

// readSnapshot returns the zero snapshot if there is none, or none that can be read: the log itself is what counts.
func readSnapshot(dir string) (snapshot, error) {
	text, err := os.ReadFile(filepath.Join(dir, snapshotName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return snapshot{}, err
	}
	var s snapshot
	if json.Unmarshal(text, &s) != nil || s.Version != snapshotVersion {
		return snapshot{}, nil
	}
	return s, nil
}

// holds reports whether the snapshot is of just these files.
func (s snapshot) holds(p partition) bool {
	if len(s.Segments) != len(p.segments) {
		return false
	}
	for i, seg := range p.segments {
		if s.Segments[i] != (snapshotSegment{seg.base, seg.size}) {
			return false
		}
	}
	return true
}

// after returns the snapshot of what the files hold. Of an older one it keeps what the files can't say: up to where
// records were deleted.
func (s snapshot) after(p partition) snapshot {
	now := snapshot{
		Version:          snapshotVersion,
		HighWatermark:    p.end,
		LastStableOffset: p.end,
		LogStartOffset:   max(s.LogStartOffset, p.segments[0].base),
		Epoch:            p.epoch,
		CreatedAt:        s.CreatedAt,
		AbortedTxns:      s.AbortedTxns,
	}
	for _, seg := range p.segments {
		now.Segments = append(now.Segments, snapshotSegment{seg.base, seg.size})
	}
	return now
}

func writeSnapshot(dir string, s snapshot) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, snapshotName), text)
}
