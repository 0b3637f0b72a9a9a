package journal

import (
	"errors"
	"io/fs"
	"slices"

	"stockflow/journal/sealed"
)

// openArchive opens what the manifest says is sealed. It changes nothing on the disk, but sees to it that the manifest that it has
// read stays: the process before may have died between giving it its name and syncing that.
func (j *Journal) openArchive() error {
	d := &sealedDir{fsys: j.options.Files, dir: j.dir, id: j.id, lock: j.readOnly, cache: sealed.NewCache(indexMemory)}
	all, err := d.openAll(j.manifest.Sealed)
	j.archive = d.set(all)
	if j.readOnly {
		return err // the files may have been merged meanwhile
	}
	present, err := d.numbers()
	if err == nil {
		err = d.fsys.SyncDir(d.dir)
	}
	if err != nil {
		return err
	}
	a := &archiver{j: j, dir: d, files: all, number: 1, damaged: make(map[*sealedFile]bool), worth: compactionBytes}
	if n := len(present); n > 0 {
		a.number = present[n-1] + 1
	}
	a.strays = strays(present, j.manifest.Sealed)
	j.sealer = a
	return nil
}

// openAll opens files. The error is about those that are missing.
func (d *sealedDir) openAll(entries []sealedEntry) (all []*sealedFile, err error) {
	for _, e := range entries {
		f := d.open(e)
		if errors.Is(f.err, fs.ErrNotExist) {
			f.err = &DamageError{File: f.name, What: "it is missing"}
			err = errors.Join(err, f.err)
		}
		all = append(all, f)
	}
	return all, err
}

// numbers returns those of the sealed files that the directory has, in order.
func (d *sealedDir) numbers() (numbers []uint64, err error) {
	entries, err := d.fsys.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if n, is := sealedNumber(e.Name()); is {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// strays returns the numbers that no manifest names.
func strays(present []uint64, named []sealedEntry) []uint64 {
	return slices.DeleteFunc(present, func(n uint64) bool {
		return slices.ContainsFunc(named, func(e sealedEntry) bool { return e.Number == n })
	})
}
