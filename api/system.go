package api

import (
	"context"
	"net/http"
)

// System is what a Stockflow says of itself. What it can't find out at once is left out.
type System struct {
	Version    string      `json:"version"`
	Deployment string      `json:"deployment,omitempty"` // another one for each that was restored from a backup
	Journal    *Journal    `json:"journal,omitempty"`    // none on Kafka
	Partitions int32       `json:"partitions"`           // of each log and table
	Groups     []GroupLag  `json:"groups"`
	Differ     []TopicDiff `json:"topics_that_differ"`
	Disk       Disk        `json:"disk"`
	Restored   bool        `json:"restored,omitempty"` // from a backup, and nobody has said that the original is gone
	Backup     *Backup     `json:"last_backup,omitempty"`
}

// Backup is what is known of the last backup.
type Backup struct {
	At       string `json:"at"`
	Position int64  `json:"position"` // of the journal: the backup has all that lies before it
}

// Journal is what a journal says of itself.
type Journal struct {
	ID       string `json:"id"`
	Epoch    uint64 `json:"epoch"`
	Appended int64  `json:"appended"` // the position behind all that was appended
	Durable  int64  `json:"durable"`  // the position up to which all survives a power cut

	Ahead    int64 `json:"ahead_bytes"` // appended and not durable
	Files    int   `json:"files"`
	Unsealed int64 `json:"unsealed_bytes"`
	Sealed   int64 `json:"sealed_bytes"`
	Sync     Syncs `json:"sync"`

	Problem   string `json:"problem,omitempty"`    // why it takes nothing now
	LastError string `json:"last_error,omitempty"` // of work in the background that has not gone well since
}

// Syncs is how long it took to make durable what was written.
type Syncs struct {
	Count   uint64  `json:"count"`
	Seconds float64 `json:"seconds"` // of all
	Last    float64 `json:"last_seconds"`
}

// GroupLag is how far a group is behind its log.
type GroupLag struct {
	Name string `json:"name"`
	Log  string `json:"log"`
	Lag  *int64 `json:"lag,omitempty"` // messages that are not committed
}

// TopicDiff is a topic that is not as it should be.
type TopicDiff struct {
	Name   string   `json:"name"`
	Differ []string `json:"differ"` // what it has otherwise, one line each
}

// Disk is the disk that the data directory is on.
type Disk struct {
	Free *int64 `json:"free_bytes,omitempty"`
}

// system answers with what there is to say of the whole, whatever state it is in.
func (s *Server) system(ctx context.Context, _ struct{}) (reply, error) {
	return reply{status: http.StatusOK, body: s.about(ctx)}, nil
}
