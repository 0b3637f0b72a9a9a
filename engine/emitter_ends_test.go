package engine

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/stockflowtest"
	"stockflow/stockflowtest/fake"
)

// One silent broker of three is nobody's concern. When all are silent, somebody waits in vain for an acknowledgement, and from then
// on everybody is refused at once, until one answers.
func TestAnEmitterKnowsWhetherAnybodyAnswers(t *testing.T) {
	const topic, brokers = "things", 3
	kafka := fake.Open(t, kfake.NumBrokers(brokers), kfake.SeedTopics(1, topic), kfake.SleepOutOfOrder())
	var silent atomic.Int32 // brokers below it answer nothing
	released := make(chan struct{})
	release := sync.OnceFunc(func() { silent.Store(0); close(released) })
	cluster := kafka.Cluster()
	cluster.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if cluster.CurrentNode() < silent.Load() {
			cluster.SleepControl(func() { <-released })
		}
		return nil, nil, false
	})
	e, err := NewEmitter(broker.Connection{Brokers: kafka.Brokers()}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	t.Cleanup(release)
	emit := func() error {
		_, err := e.Emit(t.Context(), Output{Log: topic, Key: "k", Value: []byte("v")})
		return err
	}
	if err := emit(); err != nil {
		t.Fatal(err)
	}
	silent.Store(1)
	eventually(t, "one broker is silent, and it is said that all are", func() bool { return len(e.Waiting()) == 0 })
	silent.Store(brokers)
	if err := emit(); !errors.Is(err, ErrUnknown) {
		t.Errorf("the first who writes is told: %v", err)
	}
	eventually(t, "nobody notices that no broker answers", func() bool { return errors.Is(emit(), ErrUnreachable) })
	release()
	eventually(t, "nobody notices that the brokers answer again", func() bool { return emit() == nil })
}

// eventually looks until something is so, and fails the test if it never is.
func eventually(t *testing.T, or string, is func() bool) {
	t.Helper()
	patience := time.NewTimer(hung)
	defer patience.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-patience.C:
			t.Fatal(or)
		case <-tick.C:
		}
	}
}

// untilItSays waits until an emitter says that it waits for one thing, and what. On a busy machine brokers may take longer to answer than it
// waits for them, and then it says that.
func untilItSays(t *testing.T, e *Emitter, what string) {
	t.Helper()
	eventually(t, "it never says that it "+what, func() bool {
		waits := e.Waiting()
		return len(waits) == 1 && strings.Contains(waits[0], what)
	})
}

// A certificate that expires while we run is refused at the next connection, and the readiness says what it is.
func TestAnEmitterSaysThatItsCertificateHasExpired(t *testing.T) {
	t.Parallel()
	authority := stockflowtest.NewAuthority(t)
	theirs, ours := authority.Sign("kafka", time.Now().Add(time.Hour)), authority.Sign("stockflow", time.Now().Add(-time.Hour))
	kafka := fake.Open(t, kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{theirs.Pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool,
	}))
	e, err := NewEmitter(broker.Connection{Brokers: kafka.Brokers(), Security: broker.Security{
		TLS: &tls.Config{RootCAs: authority.Pool, Certificates: []tls.Certificate{ours.Pair}},
	}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	untilItSays(t, e, "refuses our certificate, which has expired at ")
}
