package history

import "testing"

// A tally is that of the messages there are, whatever was forgotten or closed in between.
func TestATallyIsThatOfTheMessagesThereAre(t *testing.T) {
	w := newWorld(t, 12, 1)
	w.live(300)
	for log, as := range w.openAll(t.TempDir()) {
		a := as[0]
		for n := 0; w.feed(a, 30); n++ {
			switch n % 3 {
			case 0:
				must(t, a.close())
				must(t, a.open(w.bounds()))
			case 1:
				a.tallies = tallies{}
			}
		}
		messages := map[string]uint64{}
		for _, r := range w.logs[log][0] {
			messages[string(r.Key)]++
		}
		for key, n := range messages {
			tally, err := a.tally(key)
			must(t, err)
			if tally.all != n || tally.since != n%stretch {
				t.Errorf("%s has %d messages in %s, and the tally %+v", key, n, log, *tally)
			}
		}
		must(t, a.close())
	}
}
