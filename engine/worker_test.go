package engine

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"stockflow/codecs"
	"stockflow/machines/inventory"
)

// slip is a worker whose rows go into a slice instead of a changelog.
type slip struct {
	*worker
	t    *testing.T
	mu   sync.Mutex
	sent []*held
	came chan struct{}
}

func newSlip(t *testing.T) *slip {
	t.Helper()
	store := newStore(t, t.TempDir())
	s := &slip{worker: newWorker(0, store), t: t, came: make(chan struct{}, 100)}
	s.send = func(_ *worker, h *held) {
		s.mu.Lock()
		s.sent = append(s.sent, h)
		s.mu.Unlock()
		s.came <- struct{}{}
	}
	s.foreign = func(*worker, int64, int64) { t.Error("records of others where there are none") }
	if err := s.own(); err != nil {
		t.Fatal(err)
	}
	go s.run()
	t.Cleanup(s.close)
	return s
}

// set is what a callback does with a row. done counts its finished promises.
func (s *slip) set(t *testing.T, key, value string, done *[]string) {
	t.Helper()
	if err := s.store.Set(key, []byte(value)); err != nil {
		t.Fatal(err)
	}
	finish := func(err error) {
		if err == nil {
			*done = append(*done, value)
		}
	}
	if err := s.hold(&held{key: key, set: s.store.current(key), value: []byte(value), taken: []byte(value), done: []func(error){finish}}); err != nil {
		t.Fatal(err)
	}
}

func (s *slip) output(t *testing.T) int64 {
	t.Helper()
	seq, err := s.emit(nil)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// next waits for a row to be sent.
func (s *slip) next() *held {
	s.t.Helper()
	arrive(s.t, s.came, "row")
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[len(s.sent)-1]
}

func TestRowsLeaveAsTheirOutputsAreAcknowledged(t *testing.T) {
	s := newSlip(t)
	var done []string
	first := s.output(t)
	s.set(t, "a", "a1", &done)
	second := s.output(t)
	s.set(t, "b", "b1", &done)

	s.emitted(second) // the first is still out, so neither row may go
	if rows := len(s.sent); rows != 0 {
		t.Fatalf("%d rows were sent before their outputs were acknowledged", rows)
	}
	s.emitted(first)
	a, b := s.next(), s.next()
	if string(a.value)+string(b.value) != "b1b1" && string(a.value)+string(b.value) != "a1b1" {
		t.Errorf("sent %s, then %s", a.value, b.value)
	}
	s.mu.Lock()
	order := []string{string(s.sent[0].value), string(s.sent[1].value)}
	s.mu.Unlock()
	if !slices.Equal(order, []string{"a1", "b1"}) {
		t.Errorf("sent in the order %v", order)
	}
}

func TestANewerRowTakesThePlaceOfOneThatWaits(t *testing.T) {
	s := newSlip(t)
	var done []string
	first := s.output(t)
	s.set(t, "a", "a1", &done)
	s.set(t, "a", "a2", &done)
	s.emitted(first)
	h := s.next()
	if string(h.value) != "a2" || string(h.taken) != "a1a2" {
		t.Errorf("sent the row %s with the header %s", h.value, h.taken)
	}
	s.acknowledged(h, 0)
	if !slices.Equal(done, []string{"a1", "a2"}) {
		t.Errorf("done are %v: the newer row's acknowledgement counts for both", done)
	}
	if v, _ := s.store.Get("a"); string(v) != "a2" {
		t.Errorf("the store holds %s", v)
	}
}

// Of two rows of a key that both wait, as the header of one would be too large, neither may come back by its acknowledgement when a
// newer row of somebody else's has been adopted meanwhile.
func TestRowsThatWaitDoNotReplaceAnAdoptedOne(t *testing.T) {
	row := func(applied int64) []byte {
		return codecs.EncodeInventoryRow(codecs.Head{Applied: applied}, inventory.State{})
	}
	for _, leaves := range []int{0, 1, 2} { // so many have left before
		s := newSlip(t)
		outputs := []int64{s.output(t)}
		for _, applied := range []int64{5, 6} {
			must(t, s.store.Set("k", row(applied)))
			must(t, s.hold(&held{key: "k", set: s.store.current("k"), value: row(applied), taken: make([]byte, maxApplied*2/3)}))
			outputs = append(outputs, s.output(t))
		}
		for _, seq := range outputs[:leaves] {
			s.emitted(seq)
			s.next()
		}
		must(t, s.meet("k", row(100)))
		for _, seq := range outputs[leaves:] {
			s.emitted(seq)
		}
		for s.total() < 3 && !s.has(row(100)) {
			s.next()
		}
		for offset, h := range s.sent {
			s.acknowledged(h, int64(offset))
			if v, _ := s.store.Get("k"); string(v) != string(row(100)) {
				head, _ := codecs.DecodeHead(v)
				t.Errorf("%d had left: after record %d the store has the row that has taken in %d", leaves, offset, head.Applied)
			}
		}
		s.close()
	}
}

func (s *slip) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sent)
}

// has reports whether a row was sent.
func (s *slip) has(value []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.sent, func(h *held) bool { return string(h.value) == string(value) })
}

func TestAFailedWorkerResolvesEverything(t *testing.T) {
	s := newSlip(t)
	var done []string
	errs := 0
	_, err := s.emit(func(err error) {
		if err != nil {
			errs++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.set(t, "a", "a1", &done)
	s.fail(errors.New("broken"))
	if errs != 1 || done != nil {
		t.Errorf("%d outputs failed and the rows %v were done", errs, done)
	}
	if err := s.hold(&held{key: "b"}); err == nil {
		t.Error("a failed worker took a row")
	}
}

func TestAGapIsSomebodyElses(t *testing.T) {
	s := newSlip(t)
	var done []string
	var from, to int64
	s.foreign = func(_ *worker, f, t int64) { from, to = f, t }
	s.set(t, "a", "a1", &done)
	s.acknowledged(s.next(), 0)
	s.set(t, "a", "a2", &done)
	s.acknowledged(s.next(), 3)
	if from != 1 || to != 3 {
		t.Errorf("the gap is [%d, %d), want [1, 3)", from, to)
	}
	s.moved(4)
	if from != 1 {
		t.Error("an end that did not move is a gap")
	}
	s.moved(6)
	if from != 4 || to != 6 {
		t.Errorf("the moved end is [%d, %d), want [4, 6)", from, to)
	}
}

// A row that another owner wrote is adopted if it is ahead of ours, and else ours is written again.
func TestMeetingARowOfAnotherOwner(t *testing.T) {
	row := func(applied, received int64) []byte {
		return codecs.EncodeInventoryRow(codecs.Head{Applied: applied}, inventory.State{Received: received})
	}
	for name, c := range map[string]struct {
		theirs  []byte
		have    []byte
		written bool
	}{
		"older":       {row(3, 1), row(5, 7), true},
		"the same":    {row(5, 7), row(5, 7), false},
		"newer":       {row(8, 9), row(8, 9), false},
		"no row":      {nil, row(5, 7), true},
		"not a row":   {[]byte("?"), row(5, 7), true},
		"rebuilt one": {codecs.EncodeInventoryRow(codecs.Head{Rebuilt: 1}, inventory.State{}), codecs.EncodeInventoryRow(codecs.Head{Rebuilt: 1}, inventory.State{}), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSlip(t)
			var done []string
			s.set(t, "k", string(row(5, 7)), &done)
			s.acknowledged(s.next(), 0)
			if err := s.meet("k", c.theirs); err != nil {
				t.Fatal(err)
			}
			if v, _ := s.store.Get("k"); string(v) != string(c.have) {
				t.Errorf("the store holds %q, want %q", v, c.have)
			}
			if c.written {
				if h := s.next(); string(h.value) != string(c.have) {
					t.Errorf("written again was %q", h.value)
				}
			}
		})
	}
}

// A row that is on its way when a newer one of somebody else's is adopted does not become the row by its
// acknowledgement; and as it may lie behind the newer one in the changelog, that is written again, and the offset on disk
// stays until it is.
func TestAnAdoptedRowOutlastsOursOnTheirWay(t *testing.T) {
	older, newer := codecs.EncodeInventoryRow(codecs.Head{Applied: 5}, inventory.State{}), codecs.EncodeInventoryRow(codecs.Head{Applied: 8}, inventory.State{})
	for name, waits := range map[string]bool{"sent": false, "waiting": true} {
		t.Run(name, func(t *testing.T) {
			s := newSlip(t)
			s.worker.next = 1 // theirs is at 0
			var done []string
			first := s.output(t)
			if !waits {
				s.emitted(first)
			}
			s.set(t, "k", string(older), &done)
			var ours *held
			if !waits {
				ours = s.next()
			}
			must(t, s.meet("k", newer))
			if waits {
				s.emitted(first)
			} else {
				s.acknowledged(ours, 1)
			}
			if v, _ := s.store.Get("k"); string(v) != string(newer) {
				t.Errorf("the row is %q", v)
			}
			again := s.next()
			if string(again.value) != string(newer) || s.store.pins == 0 {
				t.Errorf("written again was %q, with %d pins", again.value, s.store.pins)
			}
			s.acknowledged(again, s.worker.next)
			if s.store.pins != 0 || len(done) != 1 {
				t.Errorf("then %d pins are left, and done are %q", s.store.pins, done)
			}
		})
	}
}

// The same row of somebody else's may lie before an older one of ours: until ours is there, the offset on disk stays.
func TestTheSameRowIsPinnedUntilOursIsThere(t *testing.T) {
	row := codecs.EncodeInventoryRow(codecs.Head{Applied: 5}, inventory.State{})
	s := newSlip(t)
	var done []string
	first := s.output(t)
	s.set(t, "k", string(row), &done)
	must(t, s.meet("k", row))
	if s.store.pins != 1 {
		t.Fatalf("%d pins", s.store.pins)
	}
	s.emitted(first)
	s.acknowledged(s.next(), 0)
	if s.store.pins != 0 || len(done) != 1 {
		t.Errorf("%d pins, done are %q", s.store.pins, done)
	}
	must(t, s.meet("k", row))
	if s.store.pins != 0 {
		t.Error("a row that is there already is pinned")
	}
}

func TestAHaltedWorkerDoesNothingMore(t *testing.T) {
	s := newSlip(t)
	for offset := range int64(2) {
		if !s.deliver(offset, 0) {
			t.Fatalf("message %d was not to be taken", offset)
		}
	}
	s.halt(1)
	if s.deliver(2, 0) {
		t.Error("a message behind the halt was to be taken")
	}
	s.done(1)
	s.done(2)
	if end, _ := s.done(0); end != 1 {
		t.Errorf("marked up to %d, want 1", end)
	}
}

func TestPrefix(t *testing.T) {
	var p prefix
	for _, id := range []int64{4, 5, 9, 12} { // offsets have gaps
		p.begin(id)
	}
	for _, step := range []struct{ finish, end int64 }{{5, 4}, {7, 4}, {4, 9}, {4, 9}, {12, 9}, {9, 13}} {
		if p.finish(step.finish); p.end() != step.end {
			t.Errorf("after %d the end is %d, want %d", step.finish, p.end(), step.end)
		}
	}
}
