package broker

import (
	"syscall"
	"testing"
)

// TestALockIsFreeAtOnceWhenItIsReleased, though a child that is being started has the file still.
func TestALockIsFreeAtOnceWhenItIsReleased(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	childs, err := syscall.Dup(int(l.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(childs) //nolint:errcheck // nothing was written
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	if running, err := Running(dir); running || err != nil {
		t.Errorf("the released directory is in use: %v %v", running, err)
	}
	again, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.release(); err != nil {
		t.Error(err)
	}
}
