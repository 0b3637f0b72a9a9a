package broker

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sender is an idempotent producer that outlives its broker, as those in other processes do. It sends a record at a time.
type sender struct {
	id    int64
	epoch int16
}

func newSender(t *testing.T, c Connection) sender {
	t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	resp, err := req.RequestWith(t.Context(), client(t, c))
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sender{resp.ProducerID, resp.ProducerEpoch}
}

// send sends number n, and returns what the broker says: at which offset it is, or why it isn't.
func (s sender) send(t *testing.T, older *kgo.Client, n int) string {
	t.Helper()
	b := lay(place{time: 1, producer: s.id}, recordOf(20))
	binary.BigEndian.PutUint16(b[batchProducer+8:], uint16(s.epoch))
	binary.BigEndian.PutUint32(b[batchProducer+10:], uint32(n))
	said := answerTo(t, older, seal(b))
	return fmt.Sprint(said.BaseOffset, " ", kerr.ErrorForCode(said.ErrorCode))
}

// A producer in another process that had no answer sends again what the broker may have. A merged log is told from the other by none
// of its answers: after an orderly stop each of the last five is known, at its offset; after kill -9 the server knows what it knew when it last stopped.
func TestWhatIsSentAgainOverAMerge(t *testing.T) {
	for name, stop := range map[string]func(t *testing.T, e *Embedded, dir string) string{
		"after an orderly stop": func(t *testing.T, e *Embedded, dir string) string { closeBroker(t, e); return dir },
		"after kill -9":         func(t *testing.T, _ *Embedded, dir string) string { after, _ := copied(t, dir); return after },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := open(t, dir)
			bytes := "1000"
			if _, err := admin(t, e.Connection()).CreateTopic(t.Context(), 1, 1, map[string]*string{"segment.bytes": &bytes}, "orders"); err != nil {
				t.Fatal(err)
			}
			s, other := newSender(t, e.Connection()), newSender(t, e.Connection())
			cl := olderClient(t, e.Connection())
			for n := range 60 {
				s.send(t, cl, n)
			}
			for n := range 60 { // so that those of the first are in files that are full
				other.send(t, cl, n)
			}
			plain := stop(t, e, dir)
			merged, partition := copied(t, plain)
			answers := func(dir string, opts ...Option) (all []string) {
				e := open(t, dir, opts...)
				cl := olderClient(t, e.Connection())
				for _, n := range []int{58, 59, 55, 56, 57, 54, 60, 61, 60, 63} {
					all = append(all, s.send(t, cl, n))
				}
				ends, err := admin(t, e.Connection()).ListEndOffsets(t.Context(), "orders")
				if err != nil {
					t.Fatal(err)
				}
				return append(all, fmt.Sprint("it ends at ", ends["orders"][0].Offset))
			}
			want, got := answers(plain, Unmerged()), answers(merged)
			if !slices.Equal(want, got) {
				t.Errorf("the answers are %q, and were %q", got, want)
			}
			if p, err := readPartition(partition); err != nil || batchesIn(p) > 40 {
				t.Errorf("there are %d batches, %v", batchesIn(p), err)
			}
			if name == "after an orderly stop" && (want[0] != "58 <nil>" || want[4] != "57 <nil>") {
				t.Errorf("what was sent again is not known: %q", want)
			}
		})
	}
}
