package broker

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"
)

// Marks that could not be committed are committed later, though nothing more is marked.
func TestACommitThatFailsIsTriedAgain(t *testing.T) {
	s := newGroupSession(map[string][]int32{"log": {0, 2}})
	s.ctx, s.end = context.WithCancel(t.Context())
	defer s.end()
	tries := make(chan map[TopicPartition]int64)
	answers := make(chan error)
	s.commit = func(marks map[TopicPartition]int64) error {
		tries <- marks
		return <-answers
	}
	s.MarkOffset("log", 2, 7, "")
	want := map[TopicPartition]int64{{"log", 2}: 7}
	for _, answer := range []error{errors.New("nobody coordinates the group"), nil} {
		select {
		case got := <-tries:
			if !maps.Equal(got, want) {
				t.Errorf("%v is committed, not %v", got, want)
			}
			answers <- answer
		case <-time.After(soon):
			t.Fatal("the marks are not committed")
		}
	}
	if err := s.commitMarks(); err != nil || s.changed {
		t.Errorf("what was committed is committed again: %v", err)
	}
}
