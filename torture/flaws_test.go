package torture

import (
	"fmt"
	"testing"
)

const (
	mostKills = 300 // after which a flaw counts as one that nobody finds
	perRack   = 10
)

// TestJournalFlaws kills programs whose journals lack a part of the protocol each, until something is found to be wrong. A journal that
// acknowledges before it has written is only wrong while a write is under way, and one that uses files again before the manifest says so
// only between the two.
func TestJournalFlaws(t *testing.T) {
	wantFlaws(t)
	for flaw, way := range map[string]string{"answerEarly": "at a journal write", "reuseEarly": "at sealing"} {
		t.Run(flaw, func(t *testing.T) {
			hunt(t, func(seed uint64) *complaints {
				k := newRack(t, seed, flaw, *hands)
				k.tail = smallTail
				return k.broken(perRack, way)
			})
		})
	}
}

// TestEngineFlaws does the same with engines, on brokers that take a while to acknowledge: on a journal all that these parts wait
// for is there at once. An engine that marks offsets early is only wrong for moments, in which many use it and one of its groups
// commits. With an engine that has no flaw, nothing is wrong.
func TestEngineFlaws(t *testing.T) {
	wantFlaws(t)
	t.Run("none", func(t *testing.T) {
		s := onFakeKafka(t, seedOf(t), "")
		s.crash(perRack)
		s.crash(perRack/2, "at a commit")
		s.close()
	})
	for flaw, ways := range map[string][]string{"sendEarly": nil, "storeEarly": nil, "markEarly": {"at a commit"}} {
		t.Run(flaw, func(t *testing.T) {
			hunt(t, func(seed uint64) *complaints {
				s := onFakeKafka(t, seed, flaw)
				s.crash(perRack, ways...)
				return s.settle().complaints
			})
		})
	}
}

// onFakeKafka starts a program with a flaw, and very many use it.
func onFakeKafka(t *testing.T, seed uint64, flaw string) *share {
	s := newShare(newRack(t, seed, flaw, 6**hands), fakeKafka(t))
	s.session = sessionTime
	s.open()
	return s
}

func wantFlaws(t *testing.T) {
	t.Helper()
	if !withFlaws {
		t.Skip("it needs a program that is built with the tag torture")
	}
}

// hunt kills programs with a flaw, of which each call of try kills some, until there are complaints.
func hunt(t *testing.T, try func(seed uint64) *complaints) {
	t.Helper()
	n := seedOf(t)
	for kills := 0; kills < mostKills; kills += perRack {
		if wrong := try(n + uint64(kills)); wrong.n > 0 {
			t.Logf("%d complaints after %d kills, such as: %s", wrong.n, kills+perRack, wrong.texts[0])
			return
		}
	}
	t.Errorf("nothing was found in %d kills, -seed %d", mostKills, n)
}

// broken is torture for a program with a flaw, and returns what the audit says. That it can't be started, or that nobody can read
// what it has left, is found too.
func (k *rack) broken(times int, way string) *complaints {
	y := newTally()
	k.begin()
	for n := range times {
		if err := k.kill(someKill(k.rnd, n, way), y); err != nil {
			return &complaints{1, []string{fmt.Sprint(err)}}
		}
	}
	return k.audit(y)
}
