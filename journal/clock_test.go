package journal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"stockflow/journal/files/powercut"
)

// Time goes on with the machine, and approaches the wall clock at a tenth of that.
func TestTheJournalsTime(t *testing.T) {
	of := newTestClock()
	start := of.wall
	c := startClock(of, of.Wall())
	shows := func(want time.Duration) {
		t.Helper()
		if got := time.UnixMilli(c.ms()).Sub(start); got != want {
			t.Errorf("the clock shows %s, want %s", got, want)
		}
	}
	shows(0)
	of.pass(time.Hour)
	shows(time.Hour)
	of.step(10 * time.Minute)
	shows(time.Hour)
	of.pass(10 * time.Minute)
	shows(time.Hour + 11*time.Minute)
	of.pass(2 * time.Hour) // more than enough
	shows(3*time.Hour + 20*time.Minute)
	of.step(-12 * time.Minute)
	shows(3*time.Hour + 20*time.Minute)
	of.pass(time.Hour)
	shows(4*time.Hour + 14*time.Minute)
	of.pass(time.Hour)
	shows(5*time.Hour + 8*time.Minute)
	of.step(-30 * 24 * time.Hour)
	of.pass(100 * time.Hour)
	shows(5*time.Hour + 8*time.Minute + 90*time.Hour)
}

func TestTheTimeOfAStart(t *testing.T) {
	last := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, test := range []struct {
		off    time.Duration // of the wall clock from the last record
		accept string
		want   time.Duration // from the last record; -1 if it is refused
	}{
		{0, "", 0},
		{time.Hour, "", time.Hour},
		{31 * day, "", 31 * day},
		{31*day + 1, "", -1},
		{31*day + 1, "2026-04-01", 31*day + 1},
		{31*day + 1, "2026-03-31", -1},
		{31*day + 1, "2026-04-02", -1},
		{-time.Minute, "", 0},
		{-time.Minute - 1, "", -1},
		{-day, "2026-02-28", 0},
		{-day, "2026-03-01", -1},
		{time.Hour, "2030-01-01", time.Hour}, // it isn't needed
	} {
		got, err := startTime(last.Add(test.off), last, test.accept)
		if test.want < 0 {
			if !errors.Is(err, ErrClock) {
				t.Errorf("%v: %v %v", test, got, err)
			}
		} else if err != nil || got.Sub(last) != test.want {
			t.Errorf("%v: %v %v", test, got, err)
		}
	}
}

func TestAStartWithAWrongClock(t *testing.T) {
	disk := powercut.New()
	o := smallOptions(disk)
	clock := newTestClock()
	o.Clock = clock
	j := openWith(t, o)
	put(t, partition(t, j, "orders"), "1")
	before := j.Now()
	closeNow(t, j)

	disk.Observe(func(op powercut.Operation) {
		if op.Kind.Changes() && op.Kind != powercut.SyncDir {
			t.Errorf("a start that is refused does: %v", op)
		}
	})
	clock.step(-365 * 24 * time.Hour)
	_, err := Open(testDir, o)
	if !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "--accept-clock=2025-03-01") {
		t.Fatal(err)
	}
	disk.Observe(nil)
	o.AcceptClock = "2025-03-01"
	j = openWith(t, o)
	clock.pass(10 * time.Minute)
	if now := j.Now(); now != before+9*60*1000 {
		t.Errorf("ten minutes later it is %d ms later", now-before)
	}
	p := j.Partition("orders", 0)
	put(t, p, "2")
	rs, err := p.Follow(0, Durable).Try(1000)
	if err != nil || len(rs) != 2 || rs[1].Time != before+9*60*1000 {
		t.Error(rs, err)
	}
}

func TestTheMachinesClockGoesOn(t *testing.T) {
	c := machineClock{}
	first := c.Boot()
	for c.Boot() == first {
		continue
	}
	if c.Boot() < first || time.Since(c.Wall()).Abs() > time.Minute {
		t.Error("it goes back")
	}
}
