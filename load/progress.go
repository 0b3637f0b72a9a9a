package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// progress is what the progress file says: how far a file is loaded, and what became of it so far. It speaks of a
// beginning of the file that is settled to the last row; of what is behind it, some may have been sent, and will be
// again.
type progress struct {
	Version     int    `json:"version"`
	File        string `json:"file"` // its name alone
	Fingerprint string `json:"fingerprint"`
	Reading     string `json:"reading"` // how its rows are understood
	URL         string `json:"url"`
	Entries     int64  `json:"entries"`       // that are settled
	Offset      int64  `json:"offset"`        // where in the file the last of them ends
	Line        int64  `json:"line"`          // the last one of them
	Rejects     int64  `json:"rejects_bytes"` // of the rejects file, that are about them
	Counts      Counts `json:"counts"`
	Done        bool   `json:"done"`
}

const progressVersion = 1

// resume returns where to go on: at the beginning if there is no progress file, or if it is to be forgotten. A file that
// is not the one that was being loaded is refused, as nobody can say which of its rows were taken.
func (o Options) resume(fingerprint string) (progress, error) {
	fresh := progress{
		Version: progressVersion, File: filepath.Base(o.File), Fingerprint: fingerprint, Reading: o.reading(), URL: o.URL,
	}
	text, err := os.ReadFile(o.progress())
	if errors.Is(err, os.ErrNotExist) || o.Restart && err == nil {
		return fresh, nil
	}
	if err != nil {
		return fresh, err
	}
	var p progress
	if err := json.Unmarshal(text, &p); err != nil || p.Version != progressVersion || p.Entries < 0 || p.Rejects < 0 {
		return fresh, o.refused("is not one that this version has written")
	}
	switch {
	case p.Fingerprint != fingerprint:
		return fresh, o.refused(fmt.Sprintf("is of %s with other content: the file has changed since line %d of it was loaded", p.File, p.Line))
	case p.Reading != o.reading():
		return fresh, o.refused(fmt.Sprintf("is of a run that read the file otherwise (%s; now %s)", p.Reading, o.reading()))
	case p.URL != o.URL:
		return fresh, o.refused(fmt.Sprintf("is of a run that sent it to %s, and this one would send it to %s", p.URL, o.URL))
	}
	p.File = fresh.File
	return p, nil
}

// refused says what to do about a progress file that is of no use.
func (o Options) refused(why string) error {
	again := ""
	if o.Kind == Stock {
		again = "; rows that were taken before would count again if their SKU has had 100 or more other movements since, " +
			"and those without an id also if the file has changed"
	}
	return fmt.Errorf("%s %s. --restart loads the file from its beginning%s; --progress PATH keeps another progress file", o.progress(), why, again)
}

// save writes p so that a crash leaves either the old file or the new one, whole.
func (p progress) save(path string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is there only if what follows failed
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
