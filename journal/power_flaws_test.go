package journal

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"

	"stockflow/journal/files/powercut"
)

// tries is in how many worlds a flaw has to be noticed.
const tries = 400

// noticed returns what is noticed in the first world in which something is, nil if in none.
func noticed(f flaws, lies func(sync string) bool) (seed uint64, err error) {
	for seed := range uint64(tries) {
		w := newWorld(seed, f, &powerStats{})
		w.lies = lies
		if err := w.run(livesOfAWorld); err != nil {
			return seed, err
		}
	}
	return 0, nil
}

// Each part of the protocol is switched off once, and TestPower would notice.
func TestPowerNoticesFlaws(t *testing.T) {
	prepareCompression(t)
	for name, f := range map[string]flaws{
		"a frame counts before it is written":   {answerEarly: true},
		"an error of writing is ignored":        {ignoreErrors: true},
		"a start takes what it sees for synced": {trustCache: true},
		"a file is used again too early":        {reuseEarly: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { expectNotice(t, f, nil) })
		})
	}
}

func expectNotice(t *testing.T, f flaws, lies func(sync string) bool) {
	t.Helper()
	seed, err := noticed(f, lies)
	if err == nil {
		t.Errorf("%d worlds didn't notice", tries)
	}
	t.Logf("seed %d: %.200v", seed, err)
}

// syncs returns all syncs that the journal does, by what they are for.
func syncs() []string {
	all := make(map[string]bool)
	for seed := range uint64(40) {
		w := newWorld(seed, flaws{}, &powerStats{})
		w.lies = func(sync string) bool {
			all[sync] = true
			return false
		}
		_ = w.run(livesOfAWorld)
	}
	return slices.Sorted(maps.Keys(all))
}

// twice are syncs that another one does too.
var twice = map[string]string{
	"discard of toPrepare":        "a file that comes back is removed by the next start",
	"openArchive of loadManifest": "repair syncs the directory",
	"repair of start":             "openArchive syncs the directory",
	"wipe of repair":              "rewriteLast syncs the file",
	"wipe of keepUnused":          "keepUnused syncs the file",
}

// Each sync is left out once, and TestPower would notice.
func TestPowerNoticesEachSync(t *testing.T) {
	if *cuts < manyCuts {
		t.Skipf("takes long; it runs with -cuts=%d", manyCuts)
	}
	prepareCompression(t)
	synctest.Test(t, func(t *testing.T) {
		for _, left := range syncs() {
			if twice[left] != "" {
				continue
			}
			t.Log(left)
			expectNotice(t, flaws{}, func(sync string) bool { return sync == left })
		}
		expectNotice(t, flaws{}, func(sync string) bool { return sync == "openArchive of loadManifest" || sync == "repair of start" })
	})
}

// A frame of an older epoch behind those of a newer one was left by an older life, even if it is valid in its place.
func TestPowerNoticesAnOldEpoch(t *testing.T) {
	for _, accepts := range []bool{false, true} {
		o := smallOptions(powercut.New())
		o.flaws.oldEpochs = accepts
		put(t, partition(t, openWith(t, o), "log"), "a")
		j := reopen(t, &o)
		leaveFrame(t, j, j.epoch-1, Record{Offset: 1, Value: []byte("old")})
		if got := values(t, reopen(t, &o).Partition("log", 0), Durable); (len(got) > 1) != accepts {
			t.Errorf("with the flaw %v: got %v", accepts, got)
		}
	}
}

// reopen ends the process and begins the next.
func reopen(t *testing.T, o *Options) *Journal {
	t.Helper()
	o.Files = o.Files.(*powercut.Disk).Crash()
	return openWith(t, *o)
}

// leaveFrame writes a frame behind the last one.
func leaveFrame(t *testing.T, j *Journal, epoch uint64, r Record) {
	t.Helper()
	tail := j.tail()
	f := &frame{tail: tail, at: tail.end, first: j.Appended(), entries: 1, buf: make([]byte, frameHeader)}
	f.buf = appendRecord(f.buf, 0, &r, nil)
	f.finish(j.id, j.Durable(), epoch)
	if _, err := tail.file.WriteAt(f.buf, f.at); err != nil {
		t.Fatal(err)
	}
}
