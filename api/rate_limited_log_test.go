package api

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/time/rate"
)

// What happens a thousand times is told a few times, with how often it was.
func TestWhatHappensOftenIsToldSeldom(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	s := rateLimitedLog{sometimes: rate.Sometimes{First: 1, Every: 400}}
	for range 1000 {
		s.warn(log, "commands were not written", errors.New("no broker answers"))
	}
	said := text.String()
	if n := strings.Count(said, "\n"); n != 3 || !strings.Contains(said, "times=1 ") || !strings.Contains(said, "times=400 ") {
		t.Errorf("%d lines:\n%s", n, said)
	}
}
