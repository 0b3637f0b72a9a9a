package torture

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"stockflow/stand"
)

// kill is one way to kill a process. It returns when the process is dead.
type kill struct {
	name string
	aim  moment // what it waits for, "" if it comes by chance
	do   func(*rand.Rand, *victim) error
}

// victim is a process, and what one has to know to kill it at the right moment.
type victim struct {
	*stand.Process
	data  string
	relay *stand.Relay
	flush *flushes
}

// kills are the ways to kill, and how many in a hundred are killed so.
var kills = []struct {
	share int
	kill
}{
	{40, kill{"at work", "", atWork}},
	{18, kill{"at the start", inRecovery, atTheStart}},
	{14, kill{"while stopping", inShutdown, whileStopping}},
	{10, kill{"at a store flush", inFlush, atAFlush}},
	{10, kill{"at a mail", mailToNote, atAMail}},
	{8, kill{"at a commit", "", atACommit}},
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

// atTheStart kills between the start of the process and a little after it can be asked.
func atTheStart(rnd *rand.Rand, v *victim) error {
	if rnd.IntN(2) == 0 { // before the log is open
		time.Sleep(between(rnd, 5*time.Millisecond, 400*time.Millisecond))
		v.Kill()
		return nil
	}
	if err := v.Await(v.Listening, "listening"); err != nil {
		return err
	}
	time.Sleep(between(rnd, 0, 150*time.Millisecond))
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

// atAFlush looks at the witness until a batch is on its way to a store. One time in three it kills as soon as it sees
// one, which is somewhere in it or just too late; else the process waits for it on either side of the batch.
func atAFlush(rnd *rand.Rand, v *victim) error {
	if err := v.Await(v.Ready, "ready"); err != nil {
		return err
	}
	time.Sleep(between(rnd, 5*time.Millisecond, 500*time.Millisecond))
	v.flush.hold(rnd.Uint64N(3))
	watch(v.flush.underWay)
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
	time.Sleep(between(rnd, 5*time.Millisecond, 500*time.Millisecond))
	size := func() int64 {
		info, err := os.Stat(filepath.Join(v.data, "broker", "groups.log"))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	before := size()
	watch(func() bool { return size() != before })
	v.Kill()
	return nil
}
