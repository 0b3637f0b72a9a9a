package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"stockflow/journal"
	"stockflow/journal/files"
)

// backup copies a journal.
type backup struct {
	Dir  string `arg:"" help:"Directory of the backup. It is made if it isn't there; if it has an older backup of the same journal, only what is new is copied."`
	Data string `help:"Data directory of the Stockflow, which may run." default:"./data"`
}

// Help is what --help says besides.
func (backup) Help() string {
	return `What is copied is the journal up to a moment at which all of it is on the disk: logs, tables and committed offsets as they belong together. The
rest of the data directory is made again from that. The backup of before stays whole until the new one is; a backup that was killed is run again.

To start from it: stockflow serve --data NEW --restore DIR.`
}

// Run copies, and says what.
func (c backup) Run(stdout io.Writer, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := hasJournal(c.Data); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	upTo, err := durableIn(ctx, c.Data)
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	began := time.Now()
	report, err := journal.Backup(ctx, journalIn(c.Data), upTo, c.Dir, journal.Options{Log: log})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "backed up to position %d: %d records, %d bytes copied in %s\n", report.Position, report.Records, report.Bytes, time.Since(began).Round(time.Millisecond))
	return noteBackup(c.Data, backupNote{At: began.UTC(), Position: report.Position})
}

// backupFile is where in the data directory it stands when the last backup was made.
const backupFile = "backup.json"

// backupNote says when a backup was made, and of how much.
type backupNote struct {
	At       time.Time        `json:"at"`
	Position journal.Position `json:"position"`
}

func noteBackup(data string, n backupNote) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return files.Replace(files.OS(), filepath.Join(data, backupFile), append(text, '\n'))
}

// lastBackup returns what is known of the last backup, and whether anything is.
func lastBackup(fsys files.FS, data string) (n backupNote, known bool, err error) {
	text, err := files.ReadFile(fsys, filepath.Join(data, backupFile))
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	return n, err == nil, err
}
