package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"stockflow/journal"
)

// whatMayBe are the names that a data directory may have before it is restored into: those that this process has made.
var whatMayBe = []string{"LOCK", "outbox", "journal"}

// restore makes the journal from a backup, if that was asked for. The directory must be empty. One whose restoring was killed
// is restored again; one that was restored already is not touched.
func (s *Server) restore(ctx context.Context, o journal.Options) error {
	if s.serve.Restore == "" {
		return nil
	}
	entries, err := s.files().ReadDir(s.serve.Data)
	if err != nil {
		return fmt.Errorf("--restore: %w", err)
	}
	for _, e := range entries {
		if !slices.Contains(whatMayBe, e.Name()) {
			return fmt.Errorf("--restore: %s must be empty, and has %s: name a new directory with --data, or start without --restore", s.serve.Data, e.Name())
		}
	}
	if _, err := s.files().Stat(filepath.Join(journalIn(s.serve.Data), "MANIFEST")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--restore: %s has a journal: name a new directory with --data, or start without --restore", s.serve.Data)
	}
	if err := journal.Restore(ctx, s.serve.Restore, journalIn(s.serve.Data), o); err != nil {
		return fmt.Errorf("--restore: %w", err)
	}
	s.log.Info("restored from a backup", "backup", s.serve.Restore)
	return nil
}

// takeOver says that the original of a restored journal is gone, if the operator does.
func (s *Server) takeOver() error {
	if !s.journal.Restored() {
		return nil
	}
	if s.serve.TakeOver {
		return s.journal.TakeOver()
	}
	s.log.Warn("this was restored from a backup, and sends no e-mail until a start with --take-over says that the original is gone")
	return nil
}

// silent reports whether nothing may be sent to anybody outside, as the original of this copy may do so itself.
func (s *Server) silent() bool { return s.journal != nil && s.journal.Restored() }
