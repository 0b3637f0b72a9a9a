package broker

import (
	"testing"
	"time"
)

func TestSaramaTakesTheSettings(t *testing.T) {
	for _, session := range []time.Duration{0, 500 * time.Millisecond, time.Minute} {
		s := Connection{Session: session}.Sarama("test")
		if err := s.Validate(); err != nil {
			t.Errorf("session %v: %v", session, err)
		}
		want := session
		if session == 0 {
			want = 10 * time.Second
		}
		if got := s.Consumer.Group.Session.Timeout; got != want {
			t.Errorf("session %v: members may be silent for %v", session, got)
		}
		if 3*s.Consumer.Group.Heartbeat.Interval > want {
			t.Errorf("session %v: heartbeats only every %v", session, s.Consumer.Group.Heartbeat.Interval)
		}
	}
}

// On either of these, messages would be skipped without a word.
func TestSaramaSkipsNothing(t *testing.T) {
	s := Connection{}.Sarama("test")
	if s.Consumer.Group.ResetInvalidOffsets || s.Consumer.Offsets.Initial != -2 {
		t.Errorf("reset invalid offsets %v, initial offset %d", s.Consumer.Group.ResetInvalidOffsets, s.Consumer.Offsets.Initial)
	}
}
