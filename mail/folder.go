package mail

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"stockflow/journal/files"
)

// Folder is an outlet that keeps e-mails as files of a directory, one each, as mail programs read them.
type Folder struct {
	files files.FS
	dir   string
}

// NewFolder returns an outlet to a directory, which is made if it isn't there.
func NewFolder(fsys files.FS, dir string) (*Folder, error) {
	return &Folder{fsys, dir}, files.MakeDir(fsys, dir)
}

// Send writes a file, whole or not at all. When it returns nil the file and its name are on the disk: the log is told then
// that the e-mail was sent, and would still say so after a power failure that took the name away.
func (f *Folder) Send(_ context.Context, l Email) error {
	text := new(bytes.Buffer)
	if _, err := l.compose().WriteTo(text); err != nil {
		return fmt.Errorf("writing an e-mail: %w", err)
	}
	return files.Replace(f.files, filepath.Join(f.dir, l.File), text.Bytes())
}
