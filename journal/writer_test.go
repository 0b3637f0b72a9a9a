package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stockflow/journal/files/powercut"
)

var errDisk = errors.New("the disk is broken")

// While one write is under way, all that is appended is the next one.
func TestOneWriteForAllWhoWait(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	p := partition(t, j, "orders")
	outcome := hangingDisk(disk)
	before := j.Stats().Syncs
	var wait sync.WaitGroup
	for n := range 64 {
		_, at, err := p.Append(Record{Value: []byte{byte(n)}})
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			if err := j.WaitDurable(t.Context(), at); err != nil {
				t.Error(err)
			}
		})
	}
	close(outcome)
	wait.Wait()
	if n := j.Stats().Syncs - before; n > 2 {
		t.Errorf("%d writes", n)
	}
}

func TestAnErrorOfWritingIsTheEnd(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	p := partition(t, j, "orders")
	put(t, p, "durable")
	outcome := hangingDisk(disk)
	_, at, err := p.Append(Record{Value: []byte("lost")})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 2)
	go func() { waiting <- j.WaitDurable(context.Background(), at) }()
	c := p.Follow(1, Durable)
	go func() { _, err := c.Next(context.Background(), 1); waiting <- err }()
	outcome <- powercut.Fault{Err: errDisk}
	<-j.Done()
	for range 2 {
		if err := <-waiting; !errors.Is(err, ErrBroken) || !errors.Is(err, errDisk) {
			t.Error(err)
		}
	}
	disk.Inject(nil)
	if _, _, err := p.Append(Record{}); !errors.Is(err, ErrBroken) {
		t.Error(err)
	}
	for _, err := range []error{j.Err(), j.Health(), j.WaitDurable(t.Context(), at), j.Close()} {
		if !errors.Is(err, ErrBroken) {
			t.Error(err)
		}
	}
	if got := values(t, openSmall(t, disk.Crash()).Partition("orders", 0), Durable); len(got) != 1 || got[0] != "durable" {
		t.Error(got)
	}
}

// What waits is told that a sync is silent, and what comes is refused only if it would have to wait.
func TestASilentDisk(t *testing.T) {
	disk := powercut.New()
	o := smallOptions(disk)
	o.MaxAhead, o.TailBytes = 5000, 64<<10
	j := openWith(t, o)
	p := partition(t, j, "orders")
	patience := func(d time.Duration) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.options.Silence = d
	}
	outcome := hangingDisk(disk)
	patience(time.Millisecond)
	_, at, err := p.Append(Record{Value: []byte("first")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time at once
		if err := j.WaitDurable(t.Context(), at); !errors.Is(err, ErrSilent) {
			t.Fatal(err)
		}
	}
	if err := j.Health(); !errors.Is(err, ErrSilent) {
		t.Error(err)
	}
	if _, _, err := p.Append(Record{Value: make([]byte, 4000)}); err != nil {
		t.Error(err)
	}
	if _, _, err := p.Append(Record{Value: make([]byte, 4000)}); !errors.Is(err, ErrSilent) {
		t.Error(err)
	}
	patience(time.Minute)
	close(outcome)
	waitFor(t, func() bool { return j.WaitDurable(t.Context(), at+1) == nil })
	if err := j.Health(); err != nil {
		t.Error(err)
	}
	if got := values(t, p, Durable); len(got) != 2 {
		t.Errorf("%d records", len(got))
	}
	put(t, p, "goes on")
}

// Appending waits while too much isn't durable.
func TestAppendingWaitsForTheDisk(t *testing.T) {
	disk := powercut.New()
	o := smallOptions(disk)
	o.MaxAhead, o.TailBytes = 5000, 64<<10
	j := openWith(t, o)
	p := partition(t, j, "orders")
	outcome := hangingDisk(disk)
	appended := make(chan Position)
	go func() {
		for range 10 {
			_, at, err := p.Append(Record{Value: make([]byte, 1000)})
			if err != nil {
				t.Error(err)
			}
			appended <- at
		}
	}()
	for range 4 {
		<-appended
	}
	select {
	case <-appended:
		t.Fatal("more is appended than is allowed")
	case outcome <- powercut.Fault{}: // the first write; those behind it are the next
		<-appended
	}
	close(outcome)
	var last Position
	for range 5 {
		last = <-appended
	}
	if err := j.WaitDurable(t.Context(), last); err != nil {
		t.Error(err)
	}
	if ahead := j.Stats().Ahead; ahead != 0 {
		t.Errorf("%d bytes are ahead", ahead)
	}
}

func TestAFullDiskPasses(t *testing.T) {
	disk := powercut.New()
	o := smallOptions(disk)
	o.Reserve = 1 << 20
	j := openWith(t, o)
	p := partition(t, j, "orders")
	disk.SetFree(1<<20 - 1)
	j.checkRoom()
	_, _, err := p.Append(Record{})
	if _, err2 := j.Commit("g", nil); !errors.Is(err, ErrFull) || !errors.Is(err2, ErrFull) || !errors.Is(j.Health(), ErrFull) {
		t.Error(err, err2, j.Health())
	}
	disk.SetFree(1 << 20)
	j.checkRoom()
	if _, _, err := p.Append(Record{}); !errors.Is(err, ErrFull) {
		t.Error("there is hardly more room, and it is taken: ", err)
	}
	disk.SetFree(2 << 20)
	j.checkRoom()
	put(t, p, "goes on")
	if err := j.Health(); err != nil {
		t.Error(err)
	}
}

// The next file can't be made for a while: what is appended is refused once it needs it, and nothing is lost.
func TestTheNextFileFails(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	p := partition(t, j, "orders")
	disk.Inject(func(op powercut.Operation) powercut.Fault {
		if op.Kind == powercut.Create && strings.Contains(op.Name, tailPrefix) {
			return powercut.Fault{Err: syscall.ENOSPC}
		}
		return powercut.Fault{}
	})
	var want []string
	add := func() error {
		v := fmt.Sprintf("%01000d", len(want))
		_, _, err := p.Append(Record{Value: []byte(v)})
		if err == nil {
			want = append(want, v)
		}
		return err
	}
	var err error
	for err == nil {
		err = add()
	}
	if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) || !errors.Is(j.Health(), ErrFull) {
		t.Error(err, j.Health())
	}
	if err := j.Stats().Background; !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	disk.Inject(nil)
	waitFor(t, func() bool { return add() == nil })
	for range 40 {
		if err := add(); err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return j.Health() == nil })
	closeNow(t, j)
	got := values(t, openSmall(t, disk).Partition("orders", 0), Durable)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d records, %d were appended", len(got), len(want))
	}
}

// waitFor returns once something is so. What waits in the background says how long that takes, not this.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); {
		if time.Now().After(deadline) {
			t.Fatal("it never is")
		}
		time.Sleep(time.Millisecond)
	}
}

// Many append and many follow, at both horizons, while files are left behind: everybody sees everything once and in order,
// and those who follow what is durable nothing that isn't.
func TestManyAppendAndFollow(t *testing.T) {
	const appenders, each = 8, 200
	o := smallOptions(powercut.New())
	o.MaxAhead, o.MaxRecent, o.TailBytes = 20_000, 4000, 32<<10
	j := openWith(t, o)
	partition(t, j, "orders")
	var wait sync.WaitGroup
	for n := range appenders {
		wait.Go(func() {
			p := j.Partition("orders", int32(n%2))
			for i := range each {
				_, at, err := p.Append(Record{Value: fmt.Appendf(nil, "%d %d %0100d", n, i, 0)}, Record{Value: []byte("second")})
				if err == nil && i%7 == 0 {
					err = j.WaitDurable(t.Context(), at)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range int32(2) {
		for _, h := range []Horizon{Appended, Durable} {
			for range 2 {
				wait.Go(func() { followAll(t, j.Partition("orders", n), h, appenders/2*each) })
			}
		}
	}
	wait.Wait()
}

// followAll checks so many pairs of records.
func followAll(t *testing.T, p *Partition, h Horizon, pairs int) {
	next := make(map[int]int) // by appender
	c := p.Follow(0, h)
	var all []Record
	for len(all) < 2*pairs {
		rs, err := c.Next(t.Context(), 300)
		if err != nil {
			t.Error(err)
			return
		}
		if _, end := p.Bounds(Durable); h == Durable && rs[len(rs)-1].Offset >= end {
			t.Errorf("offset %d is read and not durable, the end is %d", rs[len(rs)-1].Offset, end)
		}
		all = append(all, rs...)
	}
	for i, r := range all {
		if r.Offset != int64(i) || i > 0 && r.Time < all[i-1].Time {
			t.Fatalf("record %d has offset %d", i, r.Offset)
		}
		if i%2 == 1 {
			if string(r.Value) != "second" {
				t.Errorf("something is between two records: %q", r.Value)
			}
			continue
		}
		var appender, n int
		if _, err := fmt.Sscan(string(r.Value), &appender, &n); err != nil || next[appender] != n {
			t.Errorf("%q: %v, %d is next", r.Value, err, next[appender])
		}
		next[appender]++
	}
}
