package journal

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockflow/journal/files"
	"stockflow/journal/files/powercut"
)

// backup makes or continues the backup of the house in the directory "copy".
func (h *house) backup(upTo Position) (Report, error) {
	o := h.options()
	o.copyBytes = 4 << 10
	return Backup(context.Background(), "data", upTo, "copy", o)
}

func (h *house) mustBackup() Report {
	r, err := h.backup(-1)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// copyHas says that a directory has a journal with the house's records, as many of each partition as has says.
func (h *house) copyHas(dir string, has map[string][]Record) {
	j, err := OpenReading(dir, -1, h.options())
	if err != nil {
		h.t.Fatal(err)
	}
	c := &house{t: h.t, disk: h.disk, clock: h.clock, j: j, has: has}
	c.check()
	if err := j.Verify(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) hasNow() map[string][]Record { return maps.Clone(h.has) }

func TestASecondBackupCopiesOnlyWhatIsNew(t *testing.T) {
	h := newHouse(t)
	for range 3 {
		h.fill(10)
		h.tidy()
	}
	h.fill(10)
	count := func() (n int64) {
		for _, rs := range h.has {
			n += int64(len(rs))
		}
		return n
	}
	first := h.mustBackup()
	if first.Records != count() || first.Position != h.j.Durable() || first.Bytes == 0 {
		t.Errorf("%+v, there are %d records", first, count())
	}
	h.copyHas("copy", h.has)
	if again := h.mustBackup(); again.Records != 0 || again.Bytes != 0 || again.Position != first.Position {
		t.Errorf("nothing is new, but %+v", again)
	}
	before := count()
	h.tidy() // what was in the tail is sealed, what was sealed is merged
	for range 2 * mergeAtOnce {
		h.fill(10)
		h.tidy()
	}
	if next := h.mustBackup(); next.Records != count()-before {
		t.Errorf("%+v, new are %d records", next, count()-before)
	}
	h.copyHas("copy", h.has)
	if _, err := h.j.Commit("group", map[TopicPartition]Committed{{"events", 0}: {Offset: 5}}); err != nil {
		t.Fatal(err)
	}
	h.append("events", 0, Record{})
	if one := h.mustBackup(); one.Records != 1 {
		t.Errorf("%+v, new are one record and a commit", one)
	}
	h.close()
}

// However often a backup is brought up to date, it has few files, and its tables are compacted.
func TestABackupHasFewFiles(t *testing.T) {
	h := newHouse(t)
	for range 3 * mergeAtOnce {
		h.fill(10)
		h.mustBackup()
		h.onlyWhatCounts()
		h.clock.since += 5 * time.Hour
	}
	entries, err := h.disk.ReadDir("copy")
	if err != nil || len(entries) > 3*mergeAtOnce {
		t.Errorf("%d files, %v", len(entries), err)
	}
	h.copyHas("copy", h.has)
	h.onlyWhatCounts()
	h.close()
}

// A backup is a journal: it can be opened, and goes on. From then on it is no backup.
func TestABackupCanBeOpened(t *testing.T) {
	h := newHouse(t)
	h.fill(10)
	id, err := h.j.NewProducerID()
	if err != nil {
		t.Fatal(err)
	}
	h.mustBackup()
	j, err := Open("copy", h.options())
	if err != nil {
		t.Fatal(err)
	}
	c := &house{t: t, disk: h.disk, clock: h.clock, j: j, has: h.hasNow()}
	c.check()
	if next, err := j.NewProducerID(); err != nil || next <= id {
		t.Errorf("producer id %d after %d: %v", next, id, err)
	}
	if j.ID() != h.j.ID() || j.Deployment() != h.j.Deployment() || j.Epoch() <= h.j.Epoch() || j.Restored() {
		t.Errorf("%s %s %d", j.ID(), j.Deployment(), j.Epoch())
	}
	c.fill(10)
	c.tidy()
	c.check()
	c.close()
	if _, err := h.backup(-1); err == nil || !strings.Contains(err.Error(), "no backup") {
		t.Error("a journal with entries of its own is continued as a backup: ", err)
	}
	h.close()
}

// If tombstones went before they were copied, the rows that they delete don't stay in the backup.
func TestATombstoneThatWentIsNotMissed(t *testing.T) {
	b := newTable(t)
	c := b.p.Follow(0, Durable)
	tidyLater := func(kib int) {
		t.Helper()
		b.row("z", large(kib))
		b.seal()
		b.later(25 * time.Hour)
		if _, err := c.Try(1 << 20); err != nil {
			t.Fatal(err)
		}
		b.tidy()
	}
	b.row("a", aValue)
	b.row("b", aValue)
	b.mustBackup()
	b.row("a", nil)
	tidyLater(2)
	tidyLater(4)
	b.left(1, 4)
	b.mustBackup()
	b.copyHas("copy", b.has)
	b.close()
}

func TestRestoreBeginsAnotherDeployment(t *testing.T) {
	h := newHouse(t)
	h.fill(10)
	if _, err := h.j.Commit("group", map[TopicPartition]Committed{{"events", 0}: {Offset: 5, Metadata: "m"}}); err != nil {
		t.Fatal(err)
	}
	h.fill(10)
	h.mustBackup()
	if err := Restore(t.Context(), "copy", "new", h.options()); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), "copy", "new", h.options()); !errors.Is(err, fs.ErrExist) {
		t.Error("restored over a journal: ", err)
	}
	for _, taken := range []bool{false, true} {
		j, err := Open("new", h.options())
		if err != nil {
			t.Fatal(err)
		}
		if j.ID() != h.j.ID() || j.Deployment() == h.j.Deployment() || j.Epoch() <= h.j.Epoch() || j.Restored() == taken {
			t.Errorf("%s %s %d %v", j.ID(), j.Deployment(), j.Epoch(), j.Restored())
		}
		if got := j.Committed("group", Durable)[TopicPartition{"events", 0}]; got != (Committed{5, "m"}) {
			t.Errorf("committed is %+v", got)
		}
		(&house{t: t, j: j, has: h.has}).check()
		if err := j.TakeOver(); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h.close()
}

func TestABackupIsNotMixedWithSomethingElse(t *testing.T) {
	h := newHouse(t)
	h.fill(10)
	h.mustBackup()
	other, err := Open("other", h.options())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := h.disk.MkdirAll("photos", 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := h.disk.OpenFile(filepath.Join("photos", "cat.jpg"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	for _, test := range []struct{ from, to, want string }{
		{"other", "copy", "another journal"},
		{"data", "data", "no backup"},
		{"data", "photos", "cat.jpg"},
		{"nowhere", "new", "nowhere"},
	} {
		if _, err := Backup(t.Context(), test.from, -1, test.to, h.options()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s to %s: %v, want %q in it", test.from, test.to, err, test.want)
		}
	}
	if err := Restore(t.Context(), "copy", "photos", h.options()); err == nil || !strings.Contains(err.Error(), "cat.jpg") {
		t.Errorf("restore: %v", err)
	}
	h.check()
	h.close()
}

// One backup at a time is made in a directory.
func TestABackupHasALock(t *testing.T) {
	h := newHouse(t)
	h.mustBackup()
	lock, err := h.disk.OpenFile(filepath.Join("copy", backupLock), os.O_RDWR, 0)
	if err == nil {
		err = lock.Lock(files.Exclusive)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.backup(-1); !errors.Is(err, files.ErrLocked) {
		t.Error(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	h.mustBackup()
	h.close()
}

// A backup is made while the journal is written, sealed, compacted and merged.
func TestABackupIsMadeWhileFilesAreSealed(t *testing.T) {
	disk := powercut.New()
	o := Options{Files: disk, TailBytes: testTail, MaxTail: 4 * testTail}
	j, err := Open("data", o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.CreateTopic("events", Log, 2); err != nil {
		t.Fatal(err)
	}
	appended := make(chan error)
	go func() {
		var err error
		for i := 0; i < 2000 && err == nil; i++ {
			_, _, err = j.Partition("events", int32(i%2)).Append(Record{Value: make([]byte, 200)})
		}
		appended <- err
	}()
	for done := false; !done; {
		select {
		case err := <-appended:
			if done = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
		at := j.Durable()
		r, err := Backup(t.Context(), "data", at, "copy", o)
		if err != nil || r.Position < at {
			t.Fatal(r, at, err)
		}
	}
	if err := j.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	c, err := OpenReading("copy", -1, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(c.Close(), j.Close()); err != nil {
		t.Error(err)
	}
}
