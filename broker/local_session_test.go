package broker_test

import (
	"errors"
	"testing"

	"github.com/IBM/sarama"

	"stockflow/broker"
	"stockflow/journal"
	"stockflow/journal/files/powercut"
)

var errSetup = errors.New("half of it could be opened")

// halfOpen is a handler that can't begin, and counts how often it is told to give up what it has.
type halfOpen struct {
	sarama.ConsumerGroupHandler
	cleanups int
}

func (*halfOpen) Setup(sarama.ConsumerGroupSession) error { return errSetup }
func (h *halfOpen) Cleanup(sarama.ConsumerGroupSession) error {
	h.cleanups++
	return nil
}

// localWithLog has one topic, "log", of two partitions.
func localWithLog(t *testing.T) broker.Local {
	t.Helper()
	j, err := journal.Open("/journal", journal.Options{Files: powercut.New(), TailBytes: 64 << 10, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	if _, err := j.CreateTopic("log", journal.Log, 2); err != nil {
		t.Fatal(err)
	}
	return broker.NewLocal(j)
}

// A session that can't begin is cleaned up as one of sarama's is: some of its partitions may have opened their stores.
func TestALocalSessionThatCannotBeginIsCleanedUp(t *testing.T) {
	g, err := localWithLog(t).Inside().ConsumerGroup("client", "group")
	if err != nil {
		t.Fatal(err)
	}
	h := &halfOpen{}
	if err := g.Consume(t.Context(), []string{"log"}, h); !errors.Is(err, errSetup) || h.cleanups != 1 {
		t.Errorf("got %v after %d cleanups", err, h.cleanups)
	}
}

// A message may claim to come from anywhere: what isn't there has nothing.
func TestWhatIsNotThereEndsAtItsStart(t *testing.T) {
	l := localWithLog(t)
	for _, at := range []broker.TopicPartition{{Topic: "nowhere"}, {Topic: "log", Partition: 77}, {Topic: "log", Partition: -1}} {
		if end := l.End(at.Topic, at.Partition); end != 0 {
			t.Errorf("%s ends at %d", at, end)
		}
	}
}
