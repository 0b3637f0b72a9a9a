package journal

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// damage changes a byte in the middle of a file, while the journal is closed.
func (h *house) damage(name string) {
	f, err := h.disk.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		h.t.Fatal(err)
	}
	b := make([]byte, 1)
	for _, at := range []int64{size / 3, size / 3 * 2} {
		if _, err := f.ReadAt(b, at); err != nil {
			h.t.Fatal(err)
		}
		b[0] ^= 0xff
		if _, err := f.WriteAt(b, at); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		h.t.Fatal(err)
	}
}

// ofKind returns the names of the sealed files of a kind.
func (h *house) ofKind(tables bool) (names []string) {
	for _, f := range h.archiver().files {
		if f.Tables == tables {
			names = append(names, f.name)
		}
	}
	return names
}

func namesFile(err error, name string) bool {
	var d *DamageError
	return errors.As(err, &d) && d.File == name
}

// readError reads a partition and returns why that ended.
func readError(p *Partition, from int64) error {
	return p.Read(context.Background(), from, 1<<60, Durable, func(Record) error { return nil })
}

// A damaged file is told by whoever reads it, by Health and by Verify. All else goes on: other topics are read, what comes is
// sealed, other files are merged.
func TestDamageIsToldByWhoReadsIt(t *testing.T) {
	h := newHouse(t)
	for range 5 {
		h.fill(10)
		h.tidy()
	}
	bad := h.ofKind(false)[2]
	h.close()
	h.damage(bad)
	h.open()
	if err := h.j.Health(); err != nil {
		t.Error("nothing was read, but ", err)
	}
	p := h.j.Partition("events", 0)
	if err := readError(p, 0); !namesFile(err, bad) {
		t.Errorf("read: %v, want one that names %s", err, bad)
	}
	if err := h.j.Health(); !namesFile(err, bad) {
		t.Errorf("health: %v", err)
	}
	if err := h.j.Verify(t.Context()); !namesFile(err, bad) {
		t.Errorf("verify: %v", err)
	}
	h.checkTable(h.j.Partition("rows", 0), h.read(h.j.Partition("rows", 0), 0), h.has["rows/0"])
	end := int64(len(h.has["events/0"]))
	if rs := h.read(p, end-10); !same(rs, h.has["events/0"][end-10:]) {
		t.Error("what lies behind the damage can't be read")
	}
	h.tidyAroundDamage(bad)
	h.close()
}

// tidyAroundDamage appends, seals and merges, and meets the damage once.
func (h *house) tidyAroundDamage(bad string) {
	failed := 0
	for range 3 * mergeAtOnce {
		h.fill(10)
		for {
			did, err := h.archiver().step(context.Background())
			if err == nil && !did {
				break
			}
			if err != nil {
				if failed++; !namesFile(err, bad) {
					h.t.Fatal(err)
				}
			}
		}
	}
	if n := len(h.archiver().files); failed > 1 || n > 4*mergeAtOnce {
		h.t.Fatalf("the damage was met %d times while tidying, %d files", failed, n)
	}
}

// A file that can't be opened at all does not keep the journal from being opened.
func TestAMissingFileIsTold(t *testing.T) {
	h := newHouse(t)
	h.fill(10)
	h.tidy()
	bad := h.ofKind(true)[0]
	h.close()
	if err := h.disk.Remove(bad); err != nil {
		t.Fatal(err)
	}
	h.open()
	if err := readError(h.j.Partition("rows", 0), 0); !namesFile(err, bad) {
		t.Error("read: ", err)
	}
	if err := h.j.Verify(t.Context()); !namesFile(err, bad) || !strings.Contains(err.Error(), "missing") {
		t.Error("verify: ", err)
	}
	h.read(h.j.Partition("events", 0), 0)
	h.close()
}

// Damage in a full tail file, that nobody has read yet, is not sealed as if it were right: the error names the file, and is told
// for as long as it lasts.
func TestADamagedTailIsNotSealed(t *testing.T) {
	h := newHouse(t)
	h.fill(10)
	tail := h.j.fullTails()[0].name
	h.damage(tail)
	for range 2 {
		if _, err := h.archiver().step(t.Context()); !namesFile(err, tail) {
			t.Fatal(err)
		}
	}
	if err := h.j.Health(); !namesFile(err, tail) || h.archiverError() == nil {
		t.Error("health: ", err)
	}
	if err := h.j.Verify(t.Context()); !namesFile(err, tail) {
		t.Error("verify: ", err)
	}
	h.close()
}

// Another process reads while files are sealed, used again and merged: it has what it opened.
func TestAReaderKeepsTheFilesItOpened(t *testing.T) {
	h := newHouse(t)
	h.fill(10)
	h.fill(10)
	has := h.has["events/0"]
	r, err := OpenReading("data", h.j.Durable(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * mergeAtOnce {
		h.tidy()
		h.fill(10)
	}
	got := (&house{t: t, j: r}).read(r.Partition("events", 0), 0)
	if !same(got, has) {
		t.Errorf("%d records, want %d", len(got), len(has))
	}
	if err := r.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	h.close()
}
