package torture

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"stockflow/journal/witness"
	"stockflow/stockflowtest"
)

// kill is one way to kill a process. It returns when the process is dead.
type kill struct {
	name string
	aim  moment // what it waits for, "" if it comes by chance
	do   func(*rand.Rand, *victim) error
}

// victim is a process, and what one has to know to kill it at the right moment.
type victim struct {
	*stockflowtest.Process
	relay *stockflowtest.Relay
	page  *witness.Page
}

// kills are the ways to kill, and how many in a hundred are killed so.
var kills = []struct {
	share int
	kill
}{
	{30, kill{"at work", "", atWork}},
	{16, kill{"at the start", inRecovery, atTheStart}},
	{12, kill{"while stopping", inShutdown, whileStopping}},
	{8, kill{"at a store flush", inFlush, atAFlush}},
	{8, kill{"at a mail", mailToNote, atAMail}},
	{4, kill{"at a row", outputToRow, atARow}},
	{4, kill{"at a commit", "", atACommit}},
	{6, kill{"at a journal write", inWrite, atAWrite}},
	{4, kill{"at half of a write", tornWrite, atHalfAWrite}},
	{4, kill{"at sealing", inSealing, atSealing}},
	{4, kill{"at preparing a file", inPreparing, atPreparing}},
}

// someKill draws one, of those with that name if it isn't "". The first kills of a run are one of each kind, so that a
// short run tries all of them.
func someKill(rnd *rand.Rand, n int, name string) kill {
	for _, k := range kills {
		if k.name == name {
			return k.kill
		}
	}
	if n < len(kills) {
		return kills[n].kill
	}
	draw := rnd.IntN(100)
	for _, k := range kills {
		if draw -= k.share; draw < 0 {
			return k.kill
		}
	}
	return kills[0].kill
}

// killAt returns the way to kill that is aimed at a moment, or any.
func killAt(m moment) kill {
	for _, k := range kills {
		if k.aim == m {
			return k.kill
		}
	}
	return kills[0].kill
}

func between(rnd *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rnd.Int64N(int64(most-least)))
}

// atWork kills 5 to 2,000 ms after the process is ready.
func atWork(rnd *rand.Rand, v *victim) error {
	if err := v.Await(v.Ready, "ready"); err != nil {
		return err
	}
	time.Sleep(between(rnd, 5*time.Millisecond, 2*time.Second))
	v.Kill()
	return nil
}

// atTheStart kills between the start of the process and a little after it can be asked. One time in four it is in the first write to the
// journal, which is what a start makes durable once more.
func atTheStart(rnd *rand.Rand, v *victim) error {
	switch rnd.IntN(4) {
	case 0:
		time.Sleep(between(rnd, 5*time.Millisecond, 150*time.Millisecond))
		v.Kill()
		return nil
	case 1:
		v.page.Hold(witness.Write, witness.Place(rnd.UintN(3)))
		awaitHeld(v)
		v.Kill()
		return nil
	}
	if err := v.Await(v.Listening, "listening"); err != nil {
		return err
	}
	time.Sleep(between(rnd, 0, 40*time.Millisecond))
	v.Kill()
	return nil
}

// whileStopping asks the process to stop, and kills it before it has.
func whileStopping(rnd *rand.Rand, v *victim) error {
	if err := v.Await(v.Ready, "ready"); err != nil {
		return err
	}
	time.Sleep(between(rnd, 5*time.Millisecond, time.Second))
	v.Signal(syscall.SIGTERM)
	if err := v.Await(v.Stopping, "stopping"); err != nil {
		return err
	}
	time.Sleep(between(rnd, 0, 100*time.Millisecond))
	v.Kill()
	return nil
}

// aimed is how long the right moment is waited for.
const aimed = 3 * time.Second

// watch looks without a pause, for what it waits for is over in a moment.
func watch(met func() bool) {
	for end := time.Now().Add(aimed); !met(); {
		if time.Now().After(end) {
			return
		}
	}
}

// awaitHeld waits until the process waits where it is held.
func awaitHeld(v *victim) {
	for end := time.Now().Add(aimed); !v.page.Waits() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// atARow kills when the outputs of a message are in their logs, if it has any, and its row is not.
func atARow(rnd *rand.Rand, v *victim) error {
	if err := v.Await(v.Ready, "ready"); err != nil {
		return err
	}
	return killIn(rnd, v, witness.Row, witness.Before)
}

// atAFlush kills when a batch is on its way to a store.
func atAFlush(rnd *rand.Rand, v *victim) error {
	return inTheMidst(rnd, v, witness.Flush, witness.Before, witness.After)
}

// atAWrite kills when frames are on their way to the journal.
func atAWrite(rnd *rand.Rand, v *victim) error {
	return inTheMidst(rnd, v, witness.Write, witness.Before, witness.Inside, witness.After)
}

// atHalfAWrite kills when the half of them is there.
func atHalfAWrite(rnd *rand.Rand, v *victim) error {
	if err := v.Await(v.Ready, "ready"); err != nil {
		return err
	}
	return killIn(rnd, v, witness.Write, witness.Inside)
}

// atSealing kills when a full file of the journal is rewritten. One time in two that is held up until the journal has gone on to
// another file meanwhile, which must not be one that the manifest still names.
func atSealing(rnd *rand.Rand, v *victim) error {
	if rnd.IntN(2) == 0 {
		return inTheMidst(rnd, v, witness.Seal, witness.Before, witness.Inside, witness.After)
	}
	if err := v.Await(v.Ready, "ready"); err != nil {
		return err
	}
	v.page.Hold(witness.Seal, witness.Inside)
	awaitHeld(v)
	before := v.page.Begun(witness.Prepare)
	for end := time.Now().Add(aimed); v.page.Begun(witness.Prepare) < before+2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	v.Kill()
	return nil
}

// atPreparing kills when the file is prepared that the journal is to go on with.
func atPreparing(rnd *rand.Rand, v *victim) error {
	return inTheMidst(rnd, v, witness.Prepare, witness.Before, witness.Inside, witness.After)
}

// inTheMidst kills in the midst of a work, of which the next one is soon to come. One time in four it kills as soon as it sees one,
// which is somewhere in it or just too late; else the process waits at one of the places.
func inTheMidst(rnd *rand.Rand, v *victim, w witness.Work, places ...witness.Place) error {
	if err := v.Await(v.Ready, "ready"); err != nil {
		return err
	}
	if rnd.IntN(4) > 0 {
		return killIn(rnd, v, w, places[rnd.IntN(len(places))])
	}
	time.Sleep(between(rnd, 5*time.Millisecond, 500*time.Millisecond))
	watch(func() bool { return v.page.UnderWay(w) })
	v.Kill()
	return nil
}

// killIn kills a process that waits at a place of a work, after those had a moment who don't wait for it.
func killIn(rnd *rand.Rand, v *victim, w witness.Work, at witness.Place) error {
	time.Sleep(between(rnd, 5*time.Millisecond, 500*time.Millisecond))
	v.page.Hold(w, at)
	awaitHeld(v)
	time.Sleep(between(rnd, 0, 20*time.Millisecond))
	v.Kill()
	return nil
}

// atAMail kills when the relay has taken an e-mail and before it says so.
func atAMail(rnd *rand.Rand, v *victim) error {
	if err := v.Await(v.Ready, "ready"); err != nil {
		return err
	}
	time.Sleep(between(rnd, 5*time.Millisecond, 500*time.Millisecond))
	patience, cancel := context.WithTimeout(context.Background(), aimed)
	defer cancel()
	_, release := v.relay.Next(patience.Done())
	defer release()
	v.Kill()
	return nil
}

// atACommit kills when a group has just committed.
func atACommit(rnd *rand.Rand, v *victim) error {
	if err := v.Await(v.Ready, "ready"); err != nil {
		return err
	}
	client, err := connectionTo(v.Process).Client()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	time.Sleep(between(rnd, 5*time.Millisecond, 500*time.Millisecond))
	committed := func() (n int64) {
		for _, group := range admin.FetchManyOffsets(context.Background(), groups...) {
			group.Fetched.Each(func(o kadm.OffsetResponse) { n += o.At })
		}
		return n
	}
	before := committed()
	watch(func() bool { return committed() != before })
	v.Kill()
	return nil
}
