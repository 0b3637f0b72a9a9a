package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"stockflow/broker"
	"stockflow/journal/files"
	"stockflow/move"
)

// movedFile is where in the data directory it stands that its journal was moved to a Kafka.
const movedFile = "moved.json"

// movedNote says where a journal went.
type movedNote struct {
	To      []string  `json:"to"`
	Cluster string    `json:"cluster"` // its id
	At      time.Time `json:"at"`
}

// movedFrom returns where the journal in a data directory went, and whether it did.
func movedFrom(fsys files.FS, data string) (n movedNote, moved bool, err error) {
	text, err := files.ReadFile(fsys, filepath.Join(data, movedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		return n, false, fmt.Errorf("reading whether %s was moved: %w", data, err)
	}
	return n, true, nil
}

func (n movedNote) String() string {
	return fmt.Sprintf("moved to the Kafka at %s at %s", strings.Join(n.To, ","), n.At.UTC().Format(time.RFC3339))
}

// refuseMoved refuses to write to a journal that was moved: what is written there would be nowhere else.
func refuseMoved(fsys files.FS, data string) error {
	n, moved, err := movedFrom(fsys, data)
	if err == nil && moved {
		err = fmt.Errorf("--data: the journal in %s was %s: use it with --brokers=%s", data, n, strings.Join(n.To, ","))
	}
	return err
}

// markMoved says in the data directory that its journal was moved, and takes away what was made from the journal and is not for Kafka's
// topics: stores, and how the topics were. Whoever dies in between does it again.
func markMoved(fsys files.FS, data string, n movedNote) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := files.Replace(fsys, filepath.Join(data, movedFile), append(text, '\n')); err != nil {
		return err
	}
	for _, name := range append([]string{topicsFile, storesFile}, stores...) {
		if err := fsys.RemoveAll(filepath.Join(data, name)); err != nil {
			return err
		}
	}
	return fsys.SyncDir(data)
}

// checkMove refuses brokers to which a move isn't finished.
func checkMove(ctx context.Context, conn broker.Connection) (s move.State, moved bool, err error) {
	if err := broker.CheckAccess(ctx, conn, broker.Reading, []broker.Topic{{Name: move.Topic}}); err != nil {
		return s, false, err
	}
	if s, moved, err = move.Check(ctx, conn); err != nil {
		err = fmt.Errorf("--brokers: %w", err)
	}
	return s, moved, err
}

// openMoved finds out whether the logs were moved here, and goes on as the deployment that they were of.
func (s *Server) openMoved(ctx context.Context) error {
	if s.kafka == nil {
		return nil
	}
	state, moved, err := checkMove(ctx, *s.kafka)
	if err == nil && moved {
		s.deployment, s.former = state.Deployment, state.DeploymentID
	}
	return err
}
