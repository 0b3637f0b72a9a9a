package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"stockflow/journal"
	"stockflow/journal/files/powercut"
	"stockflow/stockflowtest"
)

// silence is how long a sync may take in these tests before the journal says that the disk is silent.
const silence = 300 * time.Millisecond

// trouble is one operation of the disk that goes wrong.
type trouble struct {
	fault powercut.Fault
	hangs bool // until release is closed

	release chan powercut.Fault
	hit     chan struct{} // closed when it has gone wrong
	what    powercut.Operation
}

var troubles = map[string]trouble{
	"EIO":                      {fault: powercut.Fault{Err: syscall.EIO}},
	"EIO and forgets the data": {fault: powercut.Fault{Err: syscall.EIO, Forget: true}},
	"ENOSPC":                   {fault: powercut.Fault{Err: syscall.ENOSPC, Bytes: 700}},
	"short write":              {fault: powercut.Fault{Err: io.ErrShortWrite, Bytes: 300}},
	"hangs":                    {hangs: true},
}

// TestTroubleWithTheDisk lets one operation of the disk fail or hang under a whole program that is used. No answer that was given is
// lost, and the program ends, if it was the journal's own file, or goes on.
func TestTroubleWithTheDisk(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for i, name := range slices.Sorted(maps.Keys(troubles)) {
		kind := troubles[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ends, n := 0, max(2, *powerCuts/10)
			w := newPowerPlant(t, uint64(i))
			for range n {
				ends += w.suffer(&trouble{fault: kind.fault, hangs: kind.hangs})
				w.trouble = nil
				w.cut()
				w.disk.CutAt(-1)
			}
			w.live(func(w *powerPlant, l *powerLife) { l.stop() })
			t.Logf("%d times, after which it ended %d times; %d rows that were shown were found again", n, ends, w.truth.checked)
		})
	}
}

// suffer lets a program have some trouble, now and then when it starts, and returns 1 if it has ended by itself.
func (w *powerPlant) suffer(t *trouble) (ends int) {
	t.release, t.hit = make(chan powercut.Fault), make(chan struct{})
	w.trouble, ends = t, 1
	atStart := !t.hangs && w.rng.IntN(3) == 0
	if atStart {
		w.disk.Inject(t.at(w.rng.IntN(1000)))
	}
	w.live(func(w *powerPlant, l *powerLife) {
		end := l.open()
		defer end()
		if !atStart {
			w.disk.Inject(t.at(w.disk.Changes() + w.rng.IntN(500)))
		}
		<-t.hit
		l.isSilent()
		if err := l.comesTo(); err == nil {
			ends = 0
		} else if !errors.Is(err, journal.ErrBroken) || !t.what.DSync {
			w.Errorf("after %s of %s it has ended: %v", t.what.Kind, t.what.Name, err)
		}
		l.stop()
	})
	return ends
}

// at returns what lets the operation with a number go wrong.
func (t *trouble) at(number int) func(powercut.Operation) powercut.Fault {
	return func(op powercut.Operation) powercut.Fault {
		if !op.Kind.Changes() || op.Number < number || stockflowtest.Was(t.hit) {
			return powercut.Fault{}
		}
		t.what = op
		close(t.hit)
		if t.hangs {
			return powercut.Fault{Until: t.release}
		}
		return t.fault
	}
}

// isSilent expects a program whose journal waits for a disk that hangs to say so, and lets the disk go on.
func (l *powerLife) isSilent() {
	t := l.plant.trouble
	if !t.hangs {
		return
	}
	defer close(t.release)
	if !t.what.DSync {
		return // the journal goes on without it, at least for a while
	}
	l.client.until("/readyz", journal.ErrSilent.Error())
	if a := l.client.send("POST", lampPath+"/receipts", fiveUnits); a.status != http.StatusServiceUnavailable {
		l.plant.Errorf("while the disk is silent a receipt is answered with %d %s", a.status, a.text)
	}
}

// comesTo returns the error with which the program has ended by itself, or nil once it takes messages again and is ready.
func (l *powerLife) comesTo() error {
	ctx, cancel := context.WithTimeout(l.plant.Context(), generous)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.server.Wait(ctx) }()
	for n := 0; ; n++ {
		a, err := l.client.try("POST", lampPath+"/receipts", fiveUnits, fmt.Sprint("Idempotency-Key: again-", keys.Add(1)))
		if err == nil && a.status == http.StatusOK {
			return l.server.WaitReady(ctx)
		}
		select {
		case err := <-ended:
			if err == nil {
				l.plant.Errorf("it neither ends nor takes messages: %d %s", a.status, a.text)
			}
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
