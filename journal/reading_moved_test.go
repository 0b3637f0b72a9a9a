package journal

import (
	"path"
	"slices"
	"strings"
	"testing"

	"stockflow/journal/files/powercut"
)

// Files are sealed and used again between the moment a reader learns which count and the moment it opens them: it begins again,
// and reads what is sealed.
func TestFilesMoveWhileAReaderOpensThem(t *testing.T) {
	disk := powercut.New()
	w := openSmall(t, disk)
	p := partition(t, w, "orders")
	for len(w.fullTails()) < 2 {
		put(t, p, numbered(int(p.end[Durable]), 20)...)
	}
	first, upTo := w.manifest.FirstTail, w.Durable()
	want := values(t, p, Durable)
	opening, goOn := make(chan struct{}), make(chan powercut.Fault)
	var stopped bool
	disk.Inject(func(op powercut.Operation) powercut.Fault {
		if !stopped && op.Kind == powercut.Read && strings.HasPrefix(path.Base(op.Name), tailPrefix) {
			stopped = true
			close(opening)
			return powercut.Fault{Until: goOn}
		}
		return powercut.Fault{}
	})
	type opened struct {
		r   *Journal
		err error
	}
	done := make(chan opened)
	go func() {
		r, err := OpenReading(testDir, upTo, readingOptions(disk))
		done <- opened{r, err}
	}()
	<-opening
	for w.manifest.FirstTail == first {
		if _, err := w.sealer.(*archiver).step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // into what was a file of before
		put(t, p, numbered(1_000_000, 20)...)
	}
	close(goOn)
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	defer got.r.Close()
	if vs := values(t, got.r.Partition("orders", 0), Durable); !slices.Equal(vs, want) {
		t.Errorf("%d values up to %d, not %d", len(vs), upTo, len(want))
	}
}
