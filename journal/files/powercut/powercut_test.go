package powercut_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"stockflow/journal/files"
	"stockflow/journal/files/powercut"
)

// program is one that keeps something on the disk. It may forget something, and is then to be caught.
type program struct {
	name    string
	forgets bool
	// run does its work on a new disk. It says answer of what must be there afterwards.
	run func(fsys files.FS, answer func(int)) error
	// check reads the disk after the power is back. highest is the highest answer.
	check func(fsys files.FS, highest int) error
}

const (
	dir       = "/data/log"
	logName   = dir + "/entries"
	entries   = 6
	entrySize = 1200 // more than two sectors
	survive   = 3000 // cuts that a right program survives
	caught    = 300  // cuts of which one catches a program that forgets something
)

func entry(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, entrySize) }

// appendLog returns a program that writes entries into a file, and answers each once it is on the disk.
func appendLog(without string) func(files.FS, func(int)) error {
	return func(fsys files.FS, answer func(int)) error {
		made := func() error { return files.MakeDir(fsys, dir) }
		if without == "the name of the directory" {
			made = func() error { return fsys.MkdirAll(dir, 0o700) }
		}
		flag := os.O_CREATE | os.O_RDWR
		if without == "the flag" {
			flag &^= files.DSync
		} else if without != "the sync of data" {
			flag |= files.DSync
		}
		if err := made(); err != nil {
			return err
		}
		f, err := fsys.OpenFile(logName, flag, 0o600)
		if err != nil {
			return err
		}
		if without != "the name of the file" {
			if err := fsys.SyncDir(dir); err != nil {
				return err
			}
		}
		for i := range entries {
			if _, err := f.WriteAt(entry(i), int64(i*entrySize)); err != nil {
				return err
			}
			answer(i)
		}
		return f.Close()
	}
}

// checkLog wants all entries that were answered, and doesn't look at what is behind them.
func checkLog(fsys files.FS, highest int) error {
	for i := range highest + 1 {
		b, err := files.ReadFile(fsys, logName)
		if err != nil {
			return err
		}
		if len(b) < (i+1)*entrySize || !bytes.Equal(b[i*entrySize:][:entrySize], entry(i)) {
			return fmt.Errorf("entry %d is gone", i)
		}
	}
	return nil
}

// checkWhole wants entries that are whole or not there at all, as one would who writes without checksums.
func checkWhole(fsys files.FS, _ int) error {
	b, err := files.ReadFile(fsys, logName)
	if err != nil {
		return nil // it was not made yet
	}
	for i := 0; len(b) > 0; i++ {
		n := min(entrySize, len(b))
		if e := b[:n]; !bytes.Equal(e, entry(i)) && !bytes.Equal(e, make([]byte, entrySize)) {
			return fmt.Errorf("entry %d is torn", i)
		}
		b = b[n:]
	}
	return nil
}

// replaceFile returns a program that gives a file new contents.
func replaceFile(without string) func(files.FS, func(int)) error {
	return func(fsys files.FS, answer func(int)) error {
		if err := files.MakeDir(fsys, dir); err != nil {
			return err
		}
		for i := range entries {
			f, err := fsys.OpenFile(logName+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(entry(i), 0)
			if without != "the sync of the file" {
				err = errors.Join(err, f.Sync())
			}
			err = errors.Join(err, fsys.Rename(logName+".new", logName))
			if without != "the sync of the directory" {
				err = errors.Join(err, fsys.SyncDir(dir))
			}
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
			answer(i)
		}
		return nil
	}
}

func replaceRight(fsys files.FS, answer func(int)) error {
	if err := files.MakeDir(fsys, dir); err != nil {
		return err
	}
	for i := range entries {
		if err := files.Replace(fsys, logName, entry(i)); err != nil {
			return err
		}
		answer(i)
	}
	return nil
}

// checkReplaced wants the content that was answered, or the next one.
func checkReplaced(fsys files.FS, highest int) error {
	b, err := files.ReadFile(fsys, logName)
	if err != nil && highest < 0 {
		return nil
	}
	if err != nil || !bytes.Equal(b, entry(max(highest, 0))) && !bytes.Equal(b, entry(highest+1)) {
		return fmt.Errorf("after %d: got %.5q, %d bytes, %w", highest, b, len(b), err)
	}
	return nil
}

// inOrder writes two files, one after the other, and believes that the second is not there without the first.
func inOrder(between func(fsys files.FS, f files.File) error) func(files.FS, func(int)) error {
	return func(fsys files.FS, _ func(int)) error {
		a, err1 := fsys.OpenFile("/a", os.O_CREATE|os.O_RDWR, 0o600)
		b, err2 := fsys.OpenFile("/b", os.O_CREATE|os.O_RDWR, 0o600)
		if err := errors.Join(err1, err2, fsys.SyncDir("/")); err != nil {
			return err
		}
		if _, err := a.WriteAt([]byte("first"), 0); err != nil {
			return err
		}
		if err := between(fsys, a); err != nil {
			return err
		}
		_, err := b.WriteAt([]byte("second"), 0)
		return errors.Join(err, b.Sync())
	}
}

func checkOrder(fsys files.FS, _ int) error {
	a, _ := files.ReadFile(fsys, "/a")
	b, _ := files.ReadFile(fsys, "/b")
	if string(b) == "second" && string(a) != "first" {
		return fmt.Errorf("the first is %q, and the second there", a)
	}
	return nil
}

var programs = []program{
	{"a log", false, appendLog(""), checkLog},
	{"a log without the sync of data", true, appendLog("the sync of data"), checkLog},
	{"a log without the flag", true, appendLog("the flag"), checkLog},
	{"a log without the name of the file", true, appendLog("the name of the file"), checkLog},
	{"a log without the name of the directory", true, appendLog("the name of the directory"), checkLog},
	{"a log without checksums", true, appendLog(""), checkWhole},
	{"a file replaced", false, replaceRight, checkReplaced},
	{"a file replaced, in full", false, replaceFile(""), checkReplaced},
	{"a file replaced without the sync of the file", true, replaceFile("the sync of the file"), checkReplaced},
	{"a file replaced without the sync of the directory", true, replaceFile("the sync of the directory"), checkReplaced},
	{"two writes in order", false, inOrder(func(_ files.FS, f files.File) error { return f.Sync() }), checkOrder},
	{"two writes in no order", true, inOrder(func(files.FS, files.File) error { return nil }), checkOrder},
	{"two writes with the wrong sync between", true, inOrder(func(fsys files.FS, _ files.File) error { return fsys.SyncDir("/") }), checkOrder},
}

// cut runs a program until the power goes at one of its operations, or after the last.
func (p program) cut(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	dry := powercut.New()
	if err := p.run(dry, func(int) {}); err != nil {
		return fmt.Errorf("without a cut: %w", err)
	}
	d, highest := powercut.New(), -1
	d.CutAt(rng.IntN(dry.Changes() + 1))
	if err := p.run(d, func(i int) { highest = i }); err != nil && !errors.Is(err, powercut.ErrOff) {
		return fmt.Errorf("the power is off, and not for %w", err)
	}
	return p.check(d.Cut(rng), highest)
}

func TestOnlyThoseWhoForgetAreCaught(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			for seed := range uint64(survive) {
				err := p.cut(seed)
				switch {
				case err != nil && !p.forgets:
					t.Fatalf("seed %d: %v", seed, err)
				case err != nil:
					t.Logf("seed %d: %v", seed, err)
					return
				case p.forgets && seed == caught:
					t.Fatalf("not caught by %d cuts", caught)
				}
			}
		})
	}
}

func TestTheSameSeedIsTheSameDisk(t *testing.T) {
	for seed := range uint64(100) {
		var found [2]string
		for i := range found {
			d := powercut.New()
			d.CutAt(9)
			_ = appendLog("the flag")(d, func(int) {})
			b, err := files.ReadFile(d.Cut(rand.New(rand.NewPCG(seed, 2))), logName)
			found[i] = fmt.Sprint(b, err)
		}
		if found[0] != found[1] {
			t.Fatal("seed", seed)
		}
	}
}

// What a crash leaves is seen by the next life and is still not on the disk: one that answers what it has read, without a sync, is
// caught when the power goes.
func TestACrashLeavesWhatWasWritten(t *testing.T) {
	lost, kept := 0, 0
	for seed := range uint64(caught) {
		for _, syncs := range []bool{false, true} {
			d := powercut.New()
			d.CutAt(-1)
			if err := appendLog("the flag")(d, func(int) {}); err != nil {
				t.Fatal(err)
			}
			d = d.Crash()
			if err := checkLog(d, entries-1); err != nil {
				t.Fatal("after the crash:", err)
			}
			f, err := d.OpenFile(logName, os.O_RDWR, 0)
			if err == nil && syncs {
				err = f.Sync()
			}
			if err != nil {
				t.Fatal(err)
			}
			switch err := checkLog(d.Cut(rand.New(rand.NewPCG(seed, 3))), entries-1); {
			case err != nil && syncs:
				t.Fatal(err)
			case err != nil:
				lost++
			default:
				kept++
			}
		}
	}
	if lost == 0 || kept <= caught {
		t.Errorf("%d cuts lost what was not synced, %d did not", lost, kept-caught)
	}
}

// A node that was renamed has one of its names, and what was synced, whatever of the directories was synced.
func TestARenameIsAtomic(t *testing.T) {
	seen := make(map[string]int)
	for seed := range uint64(caught) {
		d := powercut.New()
		f, err := d.OpenFile("/1", os.O_CREATE|os.O_RDWR|files.DSync, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("text"), 0)
		if err = errors.Join(err, files.MakeDir(d, "/a"), d.SyncDir("/"), d.Rename("/1", "/2"), d.Rename("/2", "/a/3"), d.Rename("/a/3", "/a/4")); err != nil {
			t.Fatal(err)
		}
		found := d.Cut(rand.New(rand.NewPCG(seed, 4)))
		var names []string
		for _, name := range []string{"/1", "/2", "/a/3", "/a/4"} {
			if b, err := files.ReadFile(found, name); err == nil && string(b) == "text" {
				names = append(names, name)
			}
		}
		if len(names) != 1 {
			t.Fatalf("seed %d: its names are %v", seed, names)
		}
		seen[names[0]]++
	}
	if len(seen) != 4 {
		t.Error("only these names were left:", seen)
	}
}

// On the disk a sector is as it was at one time, though not all at the same; a file is as long as it was once.
func TestWhatIsFoundWasThereOnce(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(survive) {
		d := powercut.New()
		f, err := d.OpenFile("/f", os.O_CREATE|os.O_RDWR, 0o600)
		if err = errors.Join(err, d.SyncDir("/")); err != nil {
			t.Fatal(err)
		}
		for _, b := range []string{"old", "new"} {
			if _, err := f.WriteAt([]byte(strings.Repeat(b[:1], 1024)), 0); err != nil {
				t.Fatal(err)
			}
			err := f.Truncate(1000)
			if b == "old" {
				err = errors.Join(err, f.Sync())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		b, err := files.ReadFile(d.Cut(rand.New(rand.NewPCG(seed, 5))), "/f")
		if err != nil {
			t.Fatal(err)
		}
		seen[fmt.Sprintf("%s%s %d", slices.Compact(b[:512]), slices.Compact(b[512:1000]), len(b))] = true
	}
	for _, want := range []string{"oo 1000", "on 1000", "no 1000", "nn 1000", "nn 1024"} {
		if !seen[want] {
			t.Errorf("%q was never found, of %v", want, seen)
		}
		delete(seen, want)
	}
	for left := range seen {
		if !strings.HasSuffix(left, " 1024") {
			t.Errorf("%q was found, and never there", left)
		}
	}
}

func TestAnOpenFileEndsWithItsDisk(t *testing.T) {
	d := powercut.New()
	f, err := d.OpenFile("/f", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Lock(files.Exclusive); err != nil {
		t.Fatal(err)
	}
	next := d.Crash()
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, powercut.ErrOff) {
		t.Error("got", err)
	}
	<-d.Off()
	g, err := next.OpenFile("/f", os.O_RDWR, 0)
	if err = errors.Join(err, g.Lock(files.Exclusive), f.Close()); err != nil {
		t.Error("the next life:", err)
	}
	if n, err := g.ReadAt(make([]byte, 1), 0); n != 0 || !errors.Is(err, io.EOF) {
		t.Error("got", n, err)
	}
}
