package journal

import (
	"math/rand/v2"
	"strings"
	"testing"

	"stockflow/journal/files/powercut"
)

// namings returns the changes that sync the name of a manifest, while the house is tidied.
func (h *house) namings() (changes []int) {
	a := h.another()
	renamed := false
	a.disk.(*powercut.Disk).Observe(func(op powercut.Operation) {
		if renamed && op.Kind == powercut.SyncDir {
			changes = append(changes, op.Number)
		}
		if op.Kind.Changes() {
			renamed = op.Kind == powercut.Rename && strings.Contains(op.Name, "MANIFEST")
		}
	})
	a.tidy()
	a.close()
	return changes
}

// A manifest has its name, but the sync of that failed, and the process dies: the next start finds the new manifest. Then the
// power goes at any moment of that start: the one after it may find the old manifest again, and needs the files of either.
func TestNobodyKnowsWhichManifestCounts(t *testing.T) {
	full := fullHouse(t)
	changes := full.namings()
	if len(changes) < 4 {
		t.Fatalf("the manifest got its name %d times", len(changes))
	}
	for i, n := range changes {
		if !*everyFault && i%3 != 0 {
			continue
		}
		m := 0
		for full.startAfterCrash(n, m) {
			m++
		}
	}
}

// crashedAt returns the disk on which a process died after a change failed.
func (h *house) crashedAt(n int) *powercut.Disk {
	a := h.another()
	disk := a.disk.(*powercut.Disk)
	disk.Inject(onceFrom(n, powercut.Fault{Err: errInjected, Unsynced: true}))
	a.tidyInVain()
	return disk.Crash()
}

// startAfterCrash starts, with the power going at the m-th change, and again. It returns false if there are fewer changes.
func (h *house) startAfterCrash(n, m int) bool {
	disk := h.crashedAt(n)
	disk.CutAt(m)
	a := &house{t: h.t, disk: disk, clock: h.clock, has: h.has}
	j, err := Open("data", a.options())
	went := err != nil
	if err == nil {
		a.j = j
		a.tidyInVain()
		select {
		case <-disk.Off():
			went = true
		default:
		}
	}
	a.disk = disk.Cut(rand.New(rand.NewPCG(uint64(n), uint64(m))))
	a.open()
	a.checkAfterFault(m)
	return went
}
