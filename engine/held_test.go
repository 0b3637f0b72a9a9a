package engine

import (
	"errors"
	"testing"
)

// newDirect is a worker that sends rows itself which need not wait.
func newDirect(t *testing.T) *slip {
	t.Helper()
	s := newSlip(t)
	s.worker.mu.Lock()
	s.worker.direct = true
	s.worker.mu.Unlock()
	return s
}

// holdRow holds a row of a key, as a callback does.
func (s *slip) holdRow(key, value string) *held {
	s.t.Helper()
	h := &held{key: key, row: row{[]byte(value)}, value: []byte(value), taken: []byte(value)}
	h.set = &h.row
	if err := errors.Join(s.store.set(key, h.set), s.hold(h)); err != nil {
		s.t.Fatal(err)
	}
	return h
}

// toldOf returns what has come of a row, and how often that was told.
func (s *slip) toldOf(h *held) (told *[]error) {
	told = new([]error)
	s.tell(h, func(err error) { *told = append(*told, err) })
	return told
}

func TestARowThatNeedNotWaitIsSentByWhoHoldsIt(t *testing.T) {
	s := newDirect(t)
	h := s.holdRow("a", "a1")
	if len(s.sent) != 1 || s.sent[0] != h {
		t.Fatalf("%d rows were sent when one was held", len(s.sent))
	}
	if s.worker.has(h) {
		t.Error("the changelog has a row that it has not acknowledged")
	}
	told := s.toldOf(h)
	s.acknowledged(h, 0)
	if !s.worker.has(h) || len(*told) != 1 || (*told)[0] != nil {
		t.Errorf("of a row that the changelog has is told: %v", *told)
	}
	if late := s.toldOf(h); len(*late) != 1 || (*late)[0] != nil {
		t.Errorf("who asks late is told: %v", *late)
	}
	if v, err := s.store.Get("a"); err != nil || string(v) != "a1" || s.store.current("a") != nil {
		t.Errorf("the store has %q, %v", v, err)
	}
}

func TestARowBehindAnOutputWaitsThoughItsWorkerIsDirect(t *testing.T) {
	s := newDirect(t)
	output := s.output(t)
	s.holdRow("a", "a1")
	s.holdRow("b", "b1")
	if len(s.sent) != 0 {
		t.Fatalf("%d rows were sent before the output was acknowledged", len(s.sent))
	}
	s.emitted(output)
	s.next()
	s.next()
	if c := s.holdRow("c", "c1"); s.sent[2] != c {
		t.Error("a row that need not wait has waited")
	}
}

func TestWhoseRowWasReplacedIsToldOfTheNewerOne(t *testing.T) {
	s := newDirect(t)
	output := s.output(t)
	older := s.holdRow("a", "a1")
	before := s.toldOf(older)
	newer := s.holdRow("a", "a2")
	after := s.toldOf(older)
	s.emitted(output)
	if h := s.next(); h != newer {
		t.Fatalf("the row %s was sent", h.value)
	}
	if s.worker.has(older) || len(*before)+len(*after) != 0 {
		t.Error("the older row counts before the newer one is acknowledged")
	}
	s.acknowledged(newer, 0)
	if !s.worker.has(older) || len(*before) != 1 || len(*after) != 1 {
		t.Errorf("told %d times, and %d times", len(*before), len(*after))
	}
}

func TestWhatIsHeldIsToldOfTheErrorThatEndsItsWorker(t *testing.T) {
	s := newDirect(t)
	sent := s.holdRow("a", "a1")
	s.output(t)
	waits := s.holdRow("b", "b1")
	why := errors.New("the broker is gone")
	first, second := s.toldOf(sent), s.toldOf(waits)
	s.fail(why)
	for _, told := range []*[]error{first, second, s.toldOf(sent), s.toldOf(waits)} {
		if len(*told) != 1 || !errors.Is((*told)[0], why) {
			t.Errorf("is told %v", *told)
		}
	}
	if s.worker.has(sent) || s.worker.has(waits) {
		t.Error("a row that was given up counts as one that the changelog has")
	}
}
