package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"stockflow/journal/files/powercut"
)

func readingOptions(disk *powercut.Disk) Options {
	o := smallOptions(disk)
	o.Clock = newTestClock()
	return o
}

func openToRead(t *testing.T, disk *powercut.Disk, upTo Position) *Journal {
	t.Helper()
	j, err := OpenReading(testDir, upTo, readingOptions(disk))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// Another process reads up to where it is told to, while the journal goes on.
func TestReadingUpToAPosition(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	p := partition(t, j, "orders")
	tp := TopicPartition{"orders", 0}
	var all []string
	var ends []Position
	for n := range 60 {
		v := fmt.Sprintf("%d %0500d", n, n)
		all = append(all, v)
		ends = append(ends, put(t, p, v))
		if _, err := j.Commit("g", map[TopicPartition]Committed{tp: {Offset: int64(n)}}); err != nil {
			t.Fatal(err)
		}
	}
	for n, upTo := range ends {
		r := openToRead(t, disk, upTo)
		if got := values(t, r.Partition("orders", 0), Appended); !slices.Equal(got, all[:n+1]) {
			t.Fatalf("up to %d: %d values, want %d", upTo, len(got), n+1)
		}
		if r.Appended() != upTo || r.Durable() != upTo || r.ID() != j.ID() || r.Epoch() != j.Epoch() {
			t.Error(r.Appended(), r.Durable(), upTo, r.Epoch())
		}
		if got := r.Committed("g", Durable)[tp].Offset; got != max(0, int64(n)-1) {
			t.Errorf("up to %d: committed %d", upTo, got)
		}
	}
	if _, err := OpenReading(testDir, j.Appended()+1, readingOptions(disk)); !errors.Is(err, ErrOutOfRange) {
		t.Error(err)
	}
	if _, err := OpenReading("/data/other", -1, readingOptions(disk)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Who isn't told where what is durable ends makes durable what is there.
func TestReadingAllOfIt(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	p := partition(t, j, "orders")
	put(t, p, "durable")
	outcome := hangingDisk(disk)
	if _, _, err := p.Append(Record{Value: []byte("written")}); err != nil {
		t.Fatal(err)
	}
	outcome <- powercut.Fault{Err: errDisk, Unsynced: true}
	<-j.Done()
	disk.Inject(nil)
	disk = disk.Crash()

	r := openToRead(t, disk, -1)
	got := values(t, r.Partition("orders", 0), Durable)
	if !slices.Equal(got, []string{"durable", "written"}) {
		t.Error(got)
	}
	disk = disk.Cut(testRand())
	again := openSmall(t, disk)
	if got := values(t, again.Partition("orders", 0), Durable); !slices.Equal(got, []string{"durable", "written"}) {
		t.Errorf("what was read is gone: %q", got)
	}
}

func TestWhatIsReadIsNotWritten(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	put(t, partition(t, j, "orders"), "1")
	closeNow(t, j)
	disk.Observe(func(op powercut.Operation) {
		if op.Kind.Changes() && op.Kind != powercut.Sync && op.Kind != powercut.SyncDir {
			t.Errorf("reading does: %v", op)
		}
	})
	r := openToRead(t, disk, -1)
	_, _, err := r.Partition("orders", 0).Append(Record{})
	_, err2 := r.Commit("g", nil)
	_, err3 := r.CreateTopic("new", Log, 1)
	_, err4 := r.NewProducerID()
	for _, err := range []error{err, err2, err3, err4} {
		if !errors.Is(err, ErrReadOnly) {
			t.Error(err)
		}
	}
	if _, err := r.CreateTopic("orders", Log, 2); err != nil {
		t.Error("it exists: ", err)
	}
	if err := r.Health(); err != nil {
		t.Error(err)
	}
}

// A file that another process is reading is removed, not used again.
func TestAFileThatIsReadIsNotUsedAgain(t *testing.T) {
	disk := powercut.New()
	w := openSmall(t, disk)
	p := partition(t, w, "orders")
	for len(w.fullTails()) < 2 {
		put(t, p, numbered(0, 20)...)
	}
	r := openToRead(t, disk, w.Durable())
	want := values(t, r.Partition("orders", 0), Durable)
	for range 4 {
		if _, err := w.sealer.(*archiver).step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		put(t, p, numbered(1000, 20)...) // into files that were used before, if they may be
	}
	if got := values(t, r.Partition("orders", 0), Durable); !slices.Equal(got, want) {
		t.Errorf("%d values, %d before", len(got), len(want))
	}
}

// Whoever opens a journal that is written and sealed gets a prefix of it, to the position it was told.
func TestReadingWhileItIsWritten(t *testing.T) {
	disk := powercut.New()
	o := smallOptions(disk)
	o.tidyByHand = false
	w := openWith(t, o)
	p := partition(t, w, "orders")
	var wait sync.WaitGroup
	done := make(chan struct{})
	wait.Go(func() {
		defer close(done)
		for n := range 300 {
			put(t, p, numbered(n*5, 5)...)
		}
	})
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		upTo := w.Durable()
		_, least := p.Bounds(Durable)
		r, err := OpenReading(testDir, upTo, readingOptions(disk))
		if err != nil {
			t.Fatal(err)
		}
		got := values(t, r.Partition("orders", 0), Durable)
		if !slices.Equal(got, numbered(0, len(got))) || int64(len(got)) < least-5 {
			t.Errorf("%d values, at least %d were durable", len(got), least)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	wait.Wait()
}

// A file isn't used again while a cursor is reading it.
func TestAFileIsSealedWhileItIsRead(t *testing.T) {
	disk := powercut.New()
	o := smallOptions(disk)
	o.MaxRecent = 1
	j := openWith(t, o)
	p := partition(t, j, "orders")
	for len(j.fullTails()) < 1 {
		put(t, p, numbered(int(p.end[Durable]), 20)...)
	}
	reading, goOn := make(chan struct{}), make(chan powercut.Fault)
	first := true
	disk.Inject(func(op powercut.Operation) powercut.Fault {
		if first && op.Kind == powercut.Read {
			first = false
			close(reading)
			return powercut.Fault{Until: goOn}
		}
		return powercut.Fault{}
	})
	read := make(chan error)
	go func() {
		rs, err := p.Follow(5, Durable).Next(t.Context(), 1)
		if err == nil && string(rs[0].Value) != numbered(5, 1)[0] {
			err = fmt.Errorf("read %q", rs[0].Value)
		}
		read <- err
	}()
	<-reading
	if _, err := j.sealer.(*archiver).step(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		put(t, p, numbered(int(p.end[Durable]), 20)...)
	}
	close(goOn)
	if err := <-read; err != nil {
		t.Error(err)
	}
}
