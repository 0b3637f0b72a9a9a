package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/stockflowtest/fake"
)

// emitting is an emitter for a log of two partitions on a broker. emit sends to one of them, for the test or for another context.
func emitting(t *testing.T) (cluster *kfake.Cluster, emit func(partition int32, of ...context.Context) error, e *Emitter) {
	t.Helper()
	kafka := fake.Open(t, kfake.SeedTopics(2, "things"))
	e, err := NewEmitter(broker.Connection{Brokers: kafka.Brokers()}, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	keys := map[int32]string{}
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		keys[broker.Partition([]byte(key), 2)] = key
	}
	return kafka.Cluster(), func(partition int32, of ...context.Context) error {
		t.Helper()
		at, err := e.Emit(append(of, t.Context())[0], Output{Log: "things", Key: keys[partition], Value: []byte("v")})
		if err == nil && at.Partition != partition {
			t.Errorf("%q is on partition %d, not %d", keys[partition], at.Partition, partition)
		}
		return err
	}, e
}

// After each answer for which a group's client stops, an emitter goes on.
func TestAnEmitterOutlivesEveryAnswer(t *testing.T) {
	for _, answer := range []*kerr.Error{
		kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping,
		kerr.TopicAuthorizationFailed, kerr.InvalidRecord, kerr.UnknownServerError,
	} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			cluster, emit, _ := emitting(t)
			if err := emit(0); err != nil {
				t.Fatal(err)
			}
			fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "things", Err: answer})
			if err := emit(0); err != nil && !errors.Is(err, ErrUnknown) {
				t.Error(err)
			}
			if fault.Hits() == 0 {
				t.Error("the broker has not answered so")
			}
			for _, partition := range []int32{0, 1} {
				if err := emit(partition); err != nil {
					t.Errorf("partition %d takes nothing any more: %v", partition, err)
				}
			}
		})
	}
}

// A partition without enough replicas, or without a leader, has one writer wait in vain, and refuses the others at once; the other partition
// doesn't know of it. When it takes something again, everybody is let in, and nobody had to write for that to be found out.
func TestAPartitionThatTakesNothing(t *testing.T) {
	for name, faults := range map[string]map[kmsg.Key]*kerr.Error{
		"too few replicas": {kmsg.Produce: kerr.NotEnoughReplicas},
		"no leader":        {kmsg.Produce: kerr.NotLeaderForPartition, kmsg.Metadata: kerr.LeaderNotAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, emit, e := emitting(t)
			if err := emit(0); err != nil {
				t.Fatal(err)
			}
			var heal []func()
			for key, err := range faults {
				fault := kfake.Fault{Keys: []kmsg.Key{key}, Topic: "things", Partitions: []int32{0}, Err: err, Count: -1}
				heal = append(heal, cluster.Fault(fault).Remove)
			}
			wantNothingTaken(t, emit, e)
			for _, heal := range heal {
				heal()
			}
			eventually(t, "nobody notices that the partition takes something again", func() bool { return len(e.Waiting()) == 0 })
			if err := emit(0); err != nil {
				t.Error(err)
			}
		})
	}
}

func wantNothingTaken(t *testing.T, emit func(partition int32, of ...context.Context) error, e *Emitter) {
	t.Helper()
	const says = "things/0 takes nothing: 1 writes have not been acknowledged since"
	if err := emit(0); !errors.Is(err, ErrUnknown) {
		t.Errorf("the first who writes is told: %v", err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	for range 100 { // each at once: whoever waits hears that the context is over
		if err := emit(0, over); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), says) {
			t.Fatalf("the next is told: %v", err)
		}
	}
	if err := emit(1); err != nil {
		t.Errorf("the other partition: %v", err)
	}
	untilItSays(t, e, says)
}

// A write that may not be done says why, and so does the readiness, until one may.
func TestAPartitionThatMayNotBeWritten(t *testing.T) {
	t.Parallel()
	cluster, emit, e := emitting(t)
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "things", Err: kerr.TopicAuthorizationFailed, Count: -1})
	if err := emit(0); !errors.Is(err, ErrUnknown) || !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("a writer is told: %v", err)
	}
	untilItSays(t, e, "TOPIC_AUTHORIZATION_FAILED")
	fault.Remove()
	if err := emit(0); err != nil {
		t.Errorf("it may be written again: %v", err)
	}
	eventually(t, "it says that it waits, though it may be written again", func() bool { return len(e.Waiting()) == 0 })
}
