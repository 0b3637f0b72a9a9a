package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockflow/stockflowtest"
)

// TestAFullDisk fills the disk under a Stockflow that is at work: that of the journal, that of the stores, that of the views, and one
// that has it all. Nothing that was acknowledged may be missing afterwards; once there is room, it goes on by itself; and one that is
// killed while the disk is full goes on when it is started again.
func TestAFullDisk(t *testing.T) {
	for _, part := range []string{"journal", "processors", "views", "."} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			k := newRack(t, seedOf(t), "", *hands)
			k.full = true
			ofTheLog := part == "journal" || part == "."
			d := mountDisk(t, filepath.Join(k.data, part), ofTheLog)
			k.begin()
			p := k.spawn()
			if err := p.Await(p.Ready, "ready"); err != nil {
				t.Fatal(err)
			}
			k.awaitOrders(p, 100)
			d.fill(t)
			k.awaitReadiness(p, ofTheLog)
			if ofTheLog {
				wantRefusal(t, p.HTTP)
			}
			d.empty(t)
			k.awaitOrders(p, 100)
			d.fill(t)
			k.awaitReadiness(p, ofTheLog)
			p.Kill()
			k.buried(p)
			if _, err := k.look(t.Context(), p); err != nil { // which says what mails may be sent again
				t.Fatal(err)
			}
			d.empty(t)
			k.wantFine(k.audit(newTally()))
		})
	}
}

// disk is a small one.
type disk struct{ dir string }

// What a test writes to a disk, and what the journal keeps in reserve where it lies.
const (
	diskSize  = 128 << 20
	inReserve = 256 << 20
)

// mountDisk mounts a disk. It skips the test where that can't be done, unless STOCKFLOW_REQUIRE wants "tmpfs".
func mountDisk(t *testing.T, dir string, ofTheLog bool) disk {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	size := diskSize
	if ofTheLog {
		size += inReserve
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprint("size=", size)); err != nil {
		if strings.Contains(os.Getenv("STOCKFLOW_REQUIRE"), "tmpfs") {
			t.Fatalf("a tmpfs can't be mounted here, which takes root: %v", err)
		}
		t.Skipf("a tmpfs can't be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk{dir}
}

func (d disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill writes until nothing more goes in.
func (d disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.filler())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for block := make([]byte, size); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}

func (d disk) empty(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		t.Fatal(err)
	}
}

// awaitOrders waits until clients have been told of so many orders more.
func (k *rack) awaitOrders(p *stockflowtest.Process, more int) {
	k.t.Helper()
	enough := k.books.placed() + more
	k.await(p, "nobody can order", func() bool { return k.books.placed() >= enough })
}

// awaitReadiness waits until a process says that it is not ready: because its disk is full, if that is what it has to say.
func (k *rack) awaitReadiness(p *stockflowtest.Process, full bool) {
	k.t.Helper()
	k.await(p, "the process is ready though its disk is full", func() bool {
		status, text := readiness(p)
		return status == http.StatusServiceUnavailable && (!full || strings.Contains(text, "the disk is full"))
	})
}

// readiness is what a process says of itself; 0 if it says nothing.
func readiness(p *stockflowtest.Process) (status int, text string) {
	a, err := http.Get(p.HTTP + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer a.Body.Close()
	all, _ := io.ReadAll(a.Body)
	return a.StatusCode, string(all)
}

func (k *rack) await(p *stockflowtest.Process, or string, is func() bool) {
	k.t.Helper()
	patience := time.NewTimer(stockflowtest.Generous)
	defer patience.Stop()
	tick := time.NewTicker(glance / 2)
	defer tick.Stop()
	for !is() {
		select {
		case <-p.Ended:
			k.t.Fatalf("the process ended by itself\n%s", p.LastWords())
		case <-patience.C:
			_, text := readiness(p)
			p.Kill()
			k.t.Fatalf("%s; /readyz says %s\n%s", or, text, p.LastWords())
		case <-tick.C:
		}
	}
}

// wantRefusal wants an order to be refused at once, because nothing could be written.
func wantRefusal(t *testing.T, url string) {
	t.Helper()
	a, err := http.Post(url+"/v1/orders", "application/json", strings.NewReader(`{"lines":[{"sku":"s001","quantity":1}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, _ := io.ReadAll(a.Body)
	if a.StatusCode != http.StatusServiceUnavailable || !bytes.Contains(text, []byte("disk_full")) {
		t.Errorf("an order on a full disk is answered with %d %s", a.StatusCode, text)
	}
}
