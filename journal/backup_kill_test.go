package journal

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockflow/journal/files/powercut"
)

// Whenever a backup is killed, or the power goes: there is the backup of before or the new one, whole. The next run finishes it,
// and doesn't copy again what was copied.
func TestABackupIsKilledAnywhere(t *testing.T) {
	full := newHouse(t)
	full.fill(10)
	full.mustBackup()
	before := full.hasNow()
	for range 2 {
		full.fill(10)
		full.tidy()
	}
	full.fill(10)
	full.close()
	least := int64(1)
	for n, went := 0, true; went; n++ {
		h := full.another()
		h.close()
		disk := h.disk.(*powercut.Disk)
		disk.CutAt(disk.Changes() + n)
		_, err := h.backup(-1)
		went = err != nil
		for i := range uint64(3) {
			h.disk = disk.Cut(rand.New(rand.NewPCG(i, uint64(n))))
			h.copyIsWhole(before, full.has)
			r := h.mustBackup()
			h.copyHas("copy", full.has)
			least = min(least, r.Records)
			h.onlyWhatCounts()
		}
	}
	if least != 0 {
		t.Errorf("%d records at least were copied again, even when the run before had copied all", least)
	}
}

// The manifest of a backup has its name, but the sync of that failed: the next run may find the new one, and the power may go at any
// moment of it. The backup after that is that of before or the new one.
func TestNobodyKnowsWhichBackupCounts(t *testing.T) {
	full := newHouse(t)
	full.fill(10)
	full.mustBackup()
	before := full.hasNow()
	full.fill(10)
	full.close()
	for n, went := 0, true; went; n++ {
		h := full.another()
		h.close()
		disk := h.disk.(*powercut.Disk)
		disk.Inject(afterNaming())
		if _, err := h.backup(-1); !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		disk.CutAt(disk.Changes() + n)
		_, err := h.backup(-1)
		went = err != nil
		for i := range uint64(8) {
			h.disk = disk.Cut(rand.New(rand.NewPCG(i, uint64(n))))
			h.copyIsWhole(before, full.has)
			h.mustBackup()
			h.copyHas("copy", full.has)
		}
	}
}

// afterNaming lets the sync after the first renaming of a manifest fail.
func afterNaming() func(powercut.Operation) powercut.Fault {
	renamed, done := false, false
	return func(op powercut.Operation) powercut.Fault {
		if renamed && !done && op.Kind == powercut.SyncDir {
			done = true
			return powercut.Fault{Err: errInjected, Unsynced: true}
		}
		renamed = renamed || op.Kind == powercut.Rename && strings.Contains(op.Name, "MANIFEST")
		return powercut.Fault{}
	}
}

// A backup that wasn't finished leaves a tail file that could be the next one of the backup of before. It isn't taken for that.
func TestTheTailOfAnUnfinishedBackupDoesNotCount(t *testing.T) {
	h := newHouse(t)
	h.fill(10)
	before := h.mustBackup()
	if _, err := h.j.Commit("group", map[TopicPartition]Committed{{"events", 0}: {Offset: 5}}); err != nil {
		t.Fatal(err)
	}
	h.close() // just one entry follows on those that the backup has
	h.disk.(*powercut.Disk).Inject(func(op powercut.Operation) powercut.Fault {
		if op.Kind == powercut.Rename && strings.Contains(op.Name, "MANIFEST") {
			return powercut.Fault{Err: errInjected}
		}
		return powercut.Fault{}
	})
	if _, err := h.backup(-1); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	h.disk.(*powercut.Disk).Inject(nil)
	for _, open := range []func(string, Options) (*Journal, error){
		func(dir string, o Options) (*Journal, error) { return OpenReading(dir, -1, o) }, Open,
	} {
		j, err := open("copy", h.options())
		if err != nil {
			t.Fatal(err)
		}
		if got := j.Committed("group", Durable); len(got) != 0 || j.Durable() > before.Position+2 {
			t.Errorf("the backup of %d is at %d, committed is %v", before.Position, j.Durable(), got)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// copyIsWhole says that the copy has one content or another.
func (h *house) copyIsWhole(one, other map[string][]Record) {
	j, err := OpenReading("copy", -1, h.options())
	if err != nil {
		h.t.Fatal(err)
	}
	has := one
	if _, end := j.Partition("events", 0).Bounds(Durable); end == int64(len(other["events/0"])) {
		has = other
	}
	if err := j.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.copyHas("copy", has)
}

// onlyWhatCounts says that the copy has no files that nothing refers to.
func (h *house) onlyWhatCounts() {
	m, err := readManifest(h.disk, "copy")
	if err != nil {
		h.t.Fatal(err)
	}
	want := []string{"MANIFEST", backupLock, filepath.Base(tailName("", m.FirstTail))}
	for _, e := range m.Sealed {
		want = append(want, filepath.Base(sealedName("", e.Number)))
	}
	entries, err := h.disk.ReadDir("copy")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(want, e.Name()) {
			h.t.Fatalf("the copy has %s, which doesn't count", e.Name())
		}
	}
}

// A restore that was killed is run again.
func TestARestoreIsKilledAnywhere(t *testing.T) {
	full := newHouse(t)
	full.fill(10)
	full.mustBackup()
	full.close()
	restore := func(h *house) error {
		o := h.options()
		o.copyBytes = 4 << 10
		return Restore(context.Background(), "copy", "new", o)
	}
	for n, went := 0, true; went; n++ {
		h := full.another()
		h.close()
		disk := h.disk.(*powercut.Disk)
		disk.CutAt(disk.Changes() + n)
		went = restore(h) != nil
		h.disk = disk.Cut(rand.New(rand.NewPCG(1, uint64(n))))
		if err := restore(h); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatalf("change %d: %v", n, err)
		}
		h.copyHas("new", full.has)
	}
}
