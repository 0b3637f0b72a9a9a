package powercut_test

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"

	"stockflow/journal/files"
	"stockflow/journal/files/powercut"
)

func open(t *testing.T, d *powercut.Disk, flag int) files.File {
	t.Helper()
	f, err := d.OpenFile("/f", os.O_CREATE|os.O_RDWR|flag, 0o600)
	if err = errors.Join(err, d.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	return f
}

func content(t *testing.T, d *powercut.Disk) string {
	t.Helper()
	b, err := files.ReadFile(d, "/f")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryOperationCanFail(t *testing.T) {
	d := powercut.New()
	f := open(t, d, 0)
	d.Inject(func(powercut.Operation) powercut.Fault { return powercut.Fault{Err: syscall.EIO} })
	for what, op := range map[string]func() error{
		"write":    func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		"read":     func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"truncate": func() error { return f.Truncate(1) },
		"sync":     f.Sync,
		"size":     func() error { _, err := f.Size(); return err },
		"open":     func() error { _, err := d.OpenFile("/f", os.O_RDONLY, 0); return err },
		"create":   func() error { _, err := d.OpenFile("/g", os.O_CREATE|os.O_RDWR, 0o600); return err },
		"mkdir":    func() error { return d.MkdirAll("/d", 0o700) },
		"remove":   func() error { return d.Remove("/f") },
		"rename":   func() error { return d.Rename("/f", "/g") },
		"readdir":  func() error { _, err := d.ReadDir("/"); return err },
		"stat":     func() error { _, err := d.Stat("/f"); return err },
		"syncdir":  func() error { return d.SyncDir("/") },
		"free":     func() error { _, err := d.Free("/"); return err },
	} {
		if err := op(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	d.Inject(nil)
	if all, err := d.ReadDir("/"); len(all) != 1 || err != nil || content(t, d) != "" {
		t.Errorf("something was done: %v, %v", all, err)
	}
}

func TestAShortWrite(t *testing.T) {
	d := powercut.New()
	f := open(t, d, 0)
	d.Inject(powercut.Once(d.Changes()+1, powercut.Fault{Err: io.ErrShortWrite, Bytes: 3}))
	for i, want := range []int{6, 3, 6} {
		n, err := f.WriteAt([]byte("second"), int64(i*6))
		if n != want || (err != nil) != (want == 3) {
			t.Errorf("write %d: got %d, %v", i, n, err)
		}
	}
	if got := content(t, d); got != "secondsec\x00\x00\x00second" {
		t.Errorf("got %q", got)
	}
}

func TestAFullDisk(t *testing.T) {
	d := powercut.New()
	f := open(t, d, files.DSync)
	d.SetFree(10)
	if n, err := f.WriteAt([]byte("twelve bytes"), 0); n != 10 || !errors.Is(err, syscall.ENOSPC) {
		t.Error("got", n, err)
	}
	if n, err := f.WriteAt([]byte("TWELVE"), 0); n != 6 || err != nil {
		t.Error("inside of the file: got", n, err)
	}
	if free, err := d.Free("/"); free != 0 || err != nil {
		t.Error("free:", free, err)
	}
	if err := d.Remove("/f"); err != nil {
		t.Fatal(err)
	}
	if free, err := d.Free("/"); free != 10 || err != nil {
		t.Error("after the file is gone:", free, err)
	}
}

// After a sync that failed and forgot, the next succeeds, reads see what was written, and a cut takes it.
func TestASyncForgets(t *testing.T) {
	for _, flag := range []int{0, files.DSync} {
		found := make(map[string]bool)
		for seed := range uint64(caught) {
			d := powercut.New()
			f := open(t, d, 0)
			_, err1 := f.WriteAt([]byte("old"), 0)
			f2, err2 := d.OpenFile("/f", os.O_RDWR|flag, 0)
			if err := errors.Join(err1, f.Sync(), err2); err != nil {
				t.Fatal(err)
			}
			failing := d.Changes()
			if flag == 0 {
				failing++
			}
			d.Inject(powercut.Once(failing, powercut.Fault{Err: syscall.EIO, Forget: true, Bytes: 3}))
			_, err1 = f2.WriteAt([]byte("new"), 0)
			err2 = f2.Sync()
			if (err1 != nil) != (flag != 0) || (err2 != nil) != (flag == 0) || f2.Sync() != nil || content(t, d) != "new" {
				t.Fatal(err1, err2, content(t, d))
			}
			found[content(t, d.Cut(rand.New(rand.NewPCG(seed, 1))))] = true
		}
		if !found["old"] || !found["new"] || len(found) != 2 {
			t.Errorf("flag %x: found %v", flag, found)
		}
	}
}

// A sector that is written again is written whole, and so is one that a sync has forgotten.
func TestWhatWasForgottenIsWrittenAgain(t *testing.T) {
	for seed := range uint64(caught) {
		d := powercut.New()
		f := open(t, d, 0)
		d.Inject(powercut.Once(d.Changes()+1, powercut.Fault{Err: syscall.EIO, Forget: true}))
		_, err1 := f.WriteAt([]byte("old"), 0)
		err2 := f.Sync()
		_, err3 := f.WriteAt([]byte("new"), 3)
		if err := errors.Join(err1, err3, f.Sync()); err != nil || err2 == nil {
			t.Fatal(err, err2)
		}
		if got := content(t, d.Cut(rand.New(rand.NewPCG(seed, 1)))); got != "oldnew" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestASyncHangs(t *testing.T) {
	d := powercut.New()
	f := open(t, d, 0)
	release, hangs := make(chan powercut.Fault), make(chan struct{})
	d.Inject(func(op powercut.Operation) powercut.Fault {
		if op.Kind != powercut.Sync {
			return powercut.Fault{}
		}
		close(hangs)
		return powercut.Fault{Until: release}
	})
	done := make(chan error)
	go func() { done <- f.Sync() }()
	<-hangs
	d.Inject(nil)
	if _, err := f.WriteAt([]byte("meanwhile"), 0); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatHangsCanFailThen(t *testing.T) {
	d := powercut.New()
	f := open(t, d, files.DSync)
	release, hangs := make(chan powercut.Fault), make(chan struct{})
	d.Inject(func(powercut.Operation) powercut.Fault {
		close(hangs)
		return powercut.Fault{Until: release}
	})
	done := make(chan error)
	go func() {
		_, err := f.WriteAt([]byte("text"), 0)
		done <- err
	}()
	<-hangs
	d.Inject(nil)
	release <- powercut.Fault{Err: powercut.ErrOff, Unsynced: true}
	if err := <-done; !errors.Is(err, powercut.ErrOff) || content(t, d) != "text" {
		t.Error("got", err, content(t, d))
	}
	found := make(map[string]bool)
	for seed := range uint64(caught) {
		found[content(t, d.Cut(rand.New(rand.NewPCG(seed, 1))))] = true
	}
	if !found["text"] || !found[""] {
		t.Error("found", found)
	}
}

// A sync that hangs when the power goes has not succeeded.
func TestAHangingSyncEndsWithThePower(t *testing.T) {
	d := powercut.New()
	f := open(t, d, 0)
	hangs := make(chan struct{})
	d.Inject(func(powercut.Operation) powercut.Fault {
		close(hangs)
		return powercut.Fault{Until: make(chan powercut.Fault)}
	})
	done := make(chan error)
	go func() { done <- f.Sync() }()
	<-hangs
	d.Crash()
	if err := <-done; !errors.Is(err, powercut.ErrOff) {
		t.Error("got", err)
	}
}

func TestOperationsAreCounted(t *testing.T) {
	d := powercut.New()
	var seen []powercut.Kind
	number := make(map[bool]int)
	d.Observe(func(op powercut.Operation) {
		seen = append(seen, op.Kind)
		if op.Number != number[op.Kind.Changes()] {
			t.Errorf("%s has number %d", op.Kind, op.Number)
		}
		number[op.Kind.Changes()]++
	})
	if err := replaceRight(d, func(int) {}); err != nil {
		t.Fatal(err)
	}
	want := []powercut.Kind{powercut.Create, powercut.Write, powercut.Sync, powercut.Rename, powercut.SyncDir}
	if got := seen[len(seen)-len(want):]; !slices.Equal(got, want) || number[true] != d.Changes() {
		t.Errorf("got %v; %d changes, %d seen", got, d.Changes(), number[true])
	}
}

// What the operating system refuses is refused here.
func TestRefusals(t *testing.T) {
	d := powercut.New()
	f := open(t, d, 0)
	if err := d.MkdirAll("/d/e", 0o700); err != nil {
		t.Fatal(err)
	}
	reader, err := d.OpenFile("/f", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, errWrite := reader.WriteAt([]byte("x"), 0)
	_, errExcl := d.OpenFile("/f", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	_, errNone := d.OpenFile("/none", os.O_RDWR, 0)
	_, errDir := d.OpenFile("/d", os.O_RDONLY, 0)
	_, errBelow := d.Stat("/f/x")
	for what, c := range map[string]struct{ err, want error }{
		"write without the right": {errWrite, syscall.EINVAL},
		"make what is there":      {errExcl, fs.ErrExist},
		"open what isn't":         {errNone, fs.ErrNotExist},
		"open a directory":        {errDir, syscall.EISDIR},
		"look below a file":       {errBelow, syscall.ENOTDIR},
		"remove a full directory": {d.Remove("/d"), syscall.ENOTEMPTY},
		"rename what isn't there": {d.Rename("/none", "/g"), fs.ErrNotExist},
		"rename onto a directory": {d.Rename("/f", "/d"), fs.ErrExist},
		"remove all of nothing":   {d.RemoveAll("/none"), nil},
		"remove all":              {d.RemoveAll("/d"), nil},
		"close":                   {f.Close(), nil},
		"close again":             {f.Close(), fs.ErrClosed},
		"sync what is closed":     {f.Sync(), fs.ErrClosed},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", what, c.err, c.want)
		}
	}
}
