package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"stockflow/journal/files"
)

// storesFile is where in the data directory it stands of which journal the stores are.
const storesFile = "stores.json"

// stores are the directories in the data directory that are made from the logs, and can be made again.
var stores = []string{"processors", "views", "history"}

// lineage says of which journal stores are, and in which of its epochs they were last written.
type lineage struct {
	Journal    string `json:"journal"`
	Deployment string `json:"deployment"`
	Epoch      uint64 `json:"epoch"`
}

// claimStores sets the stores aside if they are not of this journal's history, and notes that from now on they are. A journal that
// was put back to an older state has an epoch for the second time: what stores know of the first is none of its own. Whoever dies
// in between does the same again.
func (s *Server) claimStores() error {
	fsys, file := s.files(), filepath.Join(s.serve.Data, storesFile)
	now := lineage{s.journal.ID(), s.journal.Deployment(), s.journal.Epoch()}
	was, known, err := readLineage(fsys, file)
	if err != nil {
		return err
	}
	if known && (was.Journal != now.Journal || was.Deployment != now.Deployment || was.Epoch >= now.Epoch) {
		if err := s.setStoresAside(fsys); err != nil {
			return fmt.Errorf("setting aside the stores of another history: %w", err)
		}
	}
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return files.Replace(fsys, file, append(text, '\n'))
}

func readLineage(fsys files.FS, file string) (l lineage, known bool, err error) {
	text, err := files.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return l, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil {
		return l, false, fmt.Errorf("reading of which journal the stores are: %w", err)
	}
	return l, true, nil
}

// setStoresAside gives the stores another name, in place of those that had it before.
func (s *Server) setStoresAside(fsys files.FS) error {
	for _, name := range stores {
		dir := filepath.Join(s.serve.Data, name)
		if _, err := fsys.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		aside := dir + ".other"
		if err := errors.Join(fsys.RemoveAll(aside), fsys.Rename(dir, aside)); err != nil {
			return err
		}
		s.log.Warn("stores of another history were set aside; they are made again from the logs", "stores", dir, "aside", aside)
	}
	return fsys.SyncDir(s.serve.Data)
}
