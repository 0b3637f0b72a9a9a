package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Each row is what happens to a partition at a second, and what is said of it then. "in" is a write that is let in, "out" one that
// is refused.
func TestWhatIsKnownOfAPartition(t *testing.T) {
	const nothing = ""
	silentFrom := func(n, second string) string {
		return "things/1 takes nothing: " + n + " writes have not been acknowledged since 1970-01-01T00:00:" + second + "Z"
	}
	failedAt := func(n, second string) string {
		return "things/1 takes nothing: " + n + " writes have failed, the last at 1970-01-01T00:00:" + second + "Z: " + kerr.TopicAuthorizationFailed.Error()
	}
	type step struct {
		at    int64
		does  string
		err   error // that a record is answered with
		waits string
	}
	for name, steps := range map[string][]step{
		"all is well":                                  {{0, "in", nil, nothing}, {3, "answer", nil, nothing}, {60, "in", nil, nothing}},
		"four seconds of silence":                      {{0, "in", nil, nothing}, {3, "in", nil, nothing}, {4, "out", nil, silentFrom("2", "00")}, {90, "out", nil, silentFrom("2", "00")}},
		"an answer lets in again":                      {{0, "in", nil, nothing}, {1, "in", nil, nothing}, {9, "answer", nil, nothing}, {9, "in", nil, nothing}},
		"it has to go on answering":                    {{0, "in", nil, nothing}, {1, "in", nil, nothing}, {9, "answer", nil, nothing}, {13, "out", nil, silentFrom("1", "09")}},
		"slow, and not silent":                         {{0, "in", nil, nothing}, {1, "in", nil, nothing}, {3, "answer", nil, nothing}, {6, "in", nil, nothing}},
		"silence begins when something is sent":        {{0, "in", nil, nothing}, {1, "answer", nil, nothing}, {20, "in", nil, nothing}, {23, "in", nil, nothing}},
		"a failure is said, and stops nobody":          {{0, "in", nil, nothing}, {1, "answer", kerr.TopicAuthorizationFailed, failedAt("1", "01")}, {2, "in", nil, failedAt("1", "01")}},
		"failures are counted":                         {{0, "in", nil, nothing}, {0, "in", nil, nothing}, {1, "answer", kerr.TopicAuthorizationFailed, failedAt("1", "01")}, {2, "answer", kerr.TopicAuthorizationFailed, failedAt("2", "02")}},
		"until one is acknowledged":                    {{0, "in", nil, nothing}, {0, "in", nil, nothing}, {1, "answer", kerr.TopicAuthorizationFailed, failedAt("1", "01")}, {2, "answer", nil, nothing}},
		"or for a minute, if nobody writes":            {{0, "in", nil, nothing}, {1, "answer", kerr.TopicAuthorizationFailed, failedAt("1", "01")}, {60, "", nil, failedAt("1", "01")}, {61, "", nil, nothing}},
		"a failure is an answer":                       {{0, "in", nil, nothing}, {9, "answer", kerr.TopicAuthorizationFailed, failedAt("1", "09")}, {9, "in", nil, failedAt("1", "09")}},
		"a record's fault is not its partition's":      {{0, "in", nil, nothing}, {1, "answer", kerr.MessageTooLarge, nothing}},
		"what was not sent doesn't end a silence":      {{0, "in", nil, nothing}, {3, "in", nil, nothing}, {3, "answer", kgo.ErrMaxBuffered, nothing}, {4, "out", nil, silentFrom("1", "00")}},
		"what was not sent is no failure, and is gone": {{0, "in", nil, nothing}, {0, "answer", kgo.ErrClientClosed, nothing}, {9, "in", nil, nothing}},
	} {
		t.Run(name, func(t *testing.T) {
			u, p := newWriteHealth(), TopicPartition{"things", 1}
			for _, s := range steps {
				now := time.Unix(s.at, 0)
				switch s.does {
				case "answer":
					u.leave(p, s.err, now)
				case "in", "out":
					if err := u.enter(p, now); (err == nil) != (s.does == "in") {
						t.Errorf("after %d s a write is told: %v", s.at, err)
					}
				}
				if got := strings.Join(u.waiting(now), "\n"); got != s.waits {
					t.Errorf("after %d s it says %q, expected %q", s.at, got, s.waits)
				}
			}
		})
	}
}
