//go:build torture

package witness

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"stockflow/journal/files"
)

// Files returns a layer that notes what is done to the files of a journal. It knows them by their names.
func Files(fsys files.FS) files.FS { return seen{fsys} }

type seen struct{ files.FS }

const (
	tailPrefix   = "tail-"
	sealedPrefix = "sealed-"
	manifest     = "MANIFEST"
)

func named(name, prefix string) bool { return strings.HasPrefix(filepath.Base(name), prefix) }

// OpenFile sees files that are made.
func (s seen) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	made := flag&os.O_CREATE != 0
	switch {
	case made && named(name, sealedPrefix):
		beginOne(Seal)
	case made && named(name, tailPrefix):
		beginOne(Prepare)
		return blankTail{f}, nil
	case named(name, tailPrefix) && flag&files.DSync != 0:
		return frameTail{f}, nil
	}
	return f, nil
}

// Rename sees a manifest that takes the place of another, with which sealing ends, and a tail file that is used again.
func (s seen) Rename(from, to string) error {
	if named(to, manifest) && page.UnderWay(Seal) {
		pass(Seal, Inside)
	}
	if err := s.FS.Rename(from, to); err != nil {
		return err
	}
	switch {
	case named(to, manifest):
		endOne(Seal)
	case named(to, tailPrefix):
		beginOne(Prepare)
	}
	return nil
}

// blankTail is a tail file that is filled with zeros.
type blankTail struct{ files.File }

func (t blankTail) WriteAt(b []byte, at int64) (int, error) {
	n, err := t.File.WriteAt(b, at)
	pass(Prepare, Inside)
	return n, err
}

func (t blankTail) Sync() error {
	err := t.File.Sync()
	endOne(Prepare)
	return err
}

// frameTail is a tail file that frames are written to.
type frameTail struct{ files.File }

func (t frameTail) WriteAt(b []byte, at int64) (int, error) {
	if at == 0 { // the header of one that is used again
		pass(Prepare, Inside)
		n, err := t.File.WriteAt(b, at)
		endOne(Prepare)
		return n, err
	}
	Begin(Write)
	defer End(Write)
	if held(Write, Inside) {
		if n, err := t.File.WriteAt(b[:len(b)/2], at); err != nil {
			return n, err
		}
		pass(Write, Inside)
	}
	return t.File.WriteAt(b, at)
}
