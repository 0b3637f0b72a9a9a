package mail

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/notification"
	"stockflow/views"
)

// slow is an office whose log takes its time: the first message is acknowledged when the test says so; the second is
// acknowledged at once, and folded when the test does it.
type slow struct {
	*office
	came    chan string   // gets the key of each message
	first   chan struct{} // closed when the first may be acknowledged
	emitted atomic.Int64
	looked  chan struct{} // holds a token once a row was read that has not taken the second in
}

// farOff is the offset of a message that nobody has folded.
const farOff = 1

func (s *slow) Emit(_ context.Context, out engine.Output, _ ...codecs.Header) (engine.Position, error) {
	n := s.emitted.Add(1)
	s.came <- out.Key
	if n == 1 {
		<-s.first
		return engine.Position{}, nil // any row has taken in what is at offset 0
	}
	return engine.Position{Offset: farOff}, nil
}

func (s *slow) Get(key string) (views.Row[notification.State], error) {
	row, err := s.office.Get(key)
	if s.emitted.Load() == 2 && row.Head.Applied < farOff {
		signal(s.looked)
	}
	return row, err
}

// TestAPartitionThatIsLostAndComesBackBegins, also if the first beginning is still waiting for the log by then: what the
// first does when it ends must not keep the second from hearing of its row.
func TestAPartitionThatIsLostAndComesBackBegins(t *testing.T) {
	office := &slow{newOffice(t), make(chan string), make(chan struct{}), atomic.Int64{}, make(chan struct{}, 1)}
	sender := office.sender(&counter{taken: map[string]int{}})
	sender.Outbox, sender.Emitter = office, office
	begin := func() (b *beginning, ended chan struct{}, key string) {
		b, ended = sender.begin(t.Context(), []int32{0})[0], make(chan struct{})
		go func() {
			defer close(ended)
			sender.catchUp(b)
		}()
		return b, ended, arrive(t, office.came)
	}
	_, lostEnded, key := begin()
	sender.begin(t.Context(), nil)
	back, backEnded, _ := begin()
	await(t, office.looked)
	close(office.first)
	await(t, lostEnded)
	office.offset = farOff
	office.fold(key, notification.Begin{})
	await(t, backEnded)
	if !back.ready {
		t.Error("the partition is not ready")
	}
	if len(sender.catching) > 0 {
		t.Errorf("%d beginnings are left", len(sender.catching))
	}
}

// TestALostBeginningDoesNotStay: nobody folds its message, for the partition is another process's.
func TestALostBeginningDoesNotStay(t *testing.T) {
	office := &slow{newOffice(t), make(chan string, 1), nil, atomic.Int64{}, make(chan struct{}, 1)}
	office.emitted.Store(1)
	sender := office.sender(&counter{taken: map[string]int{}})
	sender.Outbox, sender.Emitter = office, office
	b, ended := sender.begin(t.Context(), []int32{0})[0], make(chan struct{})
	go func() {
		defer close(ended)
		sender.catchUp(b)
	}()
	await(t, office.looked)
	sender.begin(t.Context(), nil)
	await(t, ended)
	if b.ready || len(sender.catching) > 0 {
		t.Errorf("it is ready: %t, and %d are left", b.ready, len(sender.catching))
	}
}

// TestAnOrderWithTheKeyOfABeginning is told of its row as any other is.
func TestAnOrderWithTheKeyOfABeginning(t *testing.T) {
	office := &slow{newOffice(t), make(chan string, 1), nil, atomic.Int64{}, make(chan struct{}, 1)}
	office.emitted.Store(1)
	sender := office.sender(&counter{taken: map[string]int{}})
	sender.Outbox, sender.Emitter = office, office
	b, ended := sender.begin(t.Context(), []int32{0})[0], make(chan struct{})
	key, _ := sender.keyOn(t.Context(), 0)
	order := &sendJob{sender: sender, key: key, changed: make(chan struct{}, 1)}
	sender.hand[key] = order
	go func() {
		defer close(ended)
		sender.catchUp(b)
	}()
	await(t, office.looked)
	office.fold(key, notification.Begin{})
	await(t, order.changed)
	office.fold(key, notification.Begin{})
	await(t, ended)
	if !b.ready || sender.hand[key] != order {
		t.Errorf("it is ready: %t, and %v is in hand", b.ready, sender.hand[key])
	}
}

// await waits for a token, or for a channel to be closed.
func await(t *testing.T, c <-chan struct{}) { t.Helper(); arrive(t, c) }

// arrive waits for something from a channel.
func arrive[T any](t *testing.T, c <-chan T) (came T) {
	t.Helper()
	select {
	case came = <-c:
	case <-time.After(generous):
		t.Fatal("nothing has come after a minute")
	}
	return came
}
