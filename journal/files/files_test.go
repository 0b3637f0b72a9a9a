package files_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"stockflow/journal/files"
)

func create(t *testing.T, name string, flag int) files.File {
	t.Helper()
	f, err := files.OS().OpenFile(name, os.O_RDWR|os.O_CREATE|flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, flag := range []int{0, files.DSync} {
		f := create(t, filepath.Join(t.TempDir(), "file"), flag)
		if _, err := f.WriteAt([]byte("words"), 10); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Truncate(20)); err != nil {
			t.Fatal(err)
		}
		want := append(append(make([]byte, 10), "words"...), make([]byte, 5)...)
		got, err := files.ReadFile(files.OS(), f.Name())
		if size, errSize := f.Size(); !bytes.Equal(got, want) || err != nil || size != 20 || errSize != nil {
			t.Errorf("flag %x: got %q, %v; size %d, %v", flag, got, err, size, errSize)
		}
	}
}

// O_APPEND would make WriteAt fail, and only then.
func TestAppendingIsRefused(t *testing.T) {
	if _, err := files.OS().OpenFile(filepath.Join(t.TempDir(), "file"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); !errors.Is(err, errors.ErrUnsupported) {
		t.Error("got", err)
	}
}

func TestLocksExclude(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	a, b := create(t, name, 0), create(t, name, 0)
	for _, step := range []struct {
		what string
		err  error
		want error
	}{
		{"a shared", a.Lock(files.Shared), nil},
		{"b shared", b.Lock(files.Shared), nil},
		{"a exclusive beside b", a.Lock(files.Exclusive), files.ErrLocked},
		{"b unlocks", b.Unlock(), nil},
		{"a exclusive", a.Lock(files.Exclusive), nil},
		{"b shared beside a", b.Lock(files.Shared), files.ErrLocked},
		{"a closes", a.Close(), nil},
		{"b exclusive", b.Lock(files.Exclusive), nil},
		{"b exclusive again", b.Lock(files.Exclusive), nil},
	} {
		if !errors.Is(step.err, step.want) {
			t.Errorf("%s: got %v, want %v", step.what, step.err, step.want)
		}
	}
}

func TestReplace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"a long text", "short", ""} {
		if err := files.Replace(files.OS(), name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := files.ReadFile(files.OS(), name); string(got) != text || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
	}
	left, err := files.OS().ReadDir(filepath.Dir(name))
	if len(left) != 1 || err != nil {
		t.Error("there are", left, err)
	}
	if info, err := files.OS().Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Error("got", info.Mode(), err)
	}
	if err := files.Replace(files.OS(), filepath.Join(t.TempDir(), "none", "file"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error("without a directory: got", err)
	}
}

func TestMakeDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		if err := files.MakeDir(files.OS(), dir); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := files.OS().Stat(dir); err != nil || !info.IsDir() || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Error("got", info, err)
	}
	if n, err := files.OS().Free(dir); n <= 0 || err != nil {
		t.Error("free:", n, err)
	}
}
