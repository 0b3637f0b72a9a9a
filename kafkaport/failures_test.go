package kafkaport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
	"stockflow/journal/files/powercut"
)

// onDisk opens a port in front of a journal on a disk that can be told to fail.
func onDisk(t *testing.T, o journal.Options) (*port, *powercut.Disk) {
	t.Helper()
	disk := powercut.New()
	o.Files = disk
	return openOn(t, openJournalWith(t, o), "127.0.0.1:0", Limits{}), disk
}

// idempotent returns an id for a producer.
func (r *raw) idempotent() int64 {
	r.t.Helper()
	q := ask[*kmsg.InitProducerIDResponse](r, kmsg.NewPtrInitProducerIDRequest())
	if q.ErrorCode != 0 {
		r.t.Fatalf("%+v", q)
	}
	return q.ProducerID
}

// TestWhatIsNotDurableIsNotTold: while the disk is silent nothing is acknowledged and nothing is shown, and a retry counts
// once when it answers.
func TestWhatIsNotDurableIsNotTold(t *testing.T) {
	t.Parallel()
	p, disk := onDisk(t, journal.Options{TailBytes: 1 << 20, Reserve: -1, Silence: time.Second})
	r := p.raw()
	id := r.idempotent()
	if got := r.produceRaw(newBatch("first").from(id, 0, 0).bytes()); got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	answers := make(chan powercut.Fault)
	disk.Inject(func(o powercut.Operation) powercut.Fault {
		if o.Kind == powercut.Write {
			return powercut.Fault{Until: answers}
		}
		return powercut.Fault{}
	})
	second := newBatch("second").from(id, 0, 1).bytes()
	for range 2 {
		if got := r.produceRaw(second); got.ErrorCode != kerr.RequestTimedOut.Code || got.BaseOffset != -1 {
			t.Errorf("the disk is silent, and the producer is told %+v", got)
		}
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: single, At: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := kadm.NewClient(p.client()).CommitAllOffsets(ctx, "shop", offsets); err == nil {
		t.Error("a commit is acknowledged")
	}
	fetched := ask[*kmsg.FetchResponse](r, fetchRequest(nil, single)).Topics[0].Partitions[0]
	if n := len(decodeBatches(t, fetched.RecordBatches)); n != 1 || fetched.HighWatermark != 1 || fetched.LastStableOffset != 1 {
		t.Errorf("%d records are shown, up to %d", n, fetched.HighWatermark)
	}
	if end := ask[*kmsg.ListOffsetsResponse](r, listRequest(4, latestOffset)).Topics[0].Partitions[0].Offset; end != 0 {
		t.Errorf("the end is shown as %d", end)
	}
	if got := p.journal.Committed("shop", journal.Durable); len(got) != 0 {
		t.Errorf("the commit is %v", got)
	}
	close(answers)
	for {
		got := r.produceRaw(second)
		if got.ErrorCode == kerr.RequestTimedOut.Code {
			continue // it has not answered yet
		}
		if got.ErrorCode != 0 || got.BaseOffset != 1 {
			t.Errorf("the disk answers, and the producer is told %+v", got)
		}
		break
	}
	if end := p.ends(single)[0]; end != 2 {
		t.Errorf("the log ends at %d", end)
	}
}

// TestAJournalThatIsBroken acknowledges nothing any more, in a way that clients try again and know nothing.
func TestAJournalThatIsBroken(t *testing.T) {
	t.Parallel()
	p, disk := onDisk(t, journal.Options{TailBytes: 1 << 20, Reserve: -1})
	r := p.raw()
	id := r.idempotent()
	if got := r.produceRaw(newBatch("first").from(id, 0, 0).bytes()); got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	disk.Inject(func(o powercut.Operation) powercut.Fault {
		if o.Kind == powercut.Write {
			return powercut.Fault{Err: syscall.EIO}
		}
		return powercut.Fault{}
	})
	for range 2 {
		if got := r.produceRaw(newBatch("second").from(id, 0, 1).bytes()); got.ErrorCode != kerr.RequestTimedOut.Code {
			t.Errorf("the producer is told %+v", got)
		}
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation = 7, "shop", -1
	commit.Topics = append(commit.Topics, kmsg.OffsetCommitRequestTopic{Topic: single, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1}}})
	if got := ask[*kmsg.OffsetCommitResponse](r, commit).Topics[0].Partitions[0].ErrorCode; got != kerr.CoordinatorNotAvailable.Code {
		t.Errorf("a commit is answered by %v", kerr.ErrorForCode(got))
	}
	if got := ask[*kmsg.FetchResponse](r, fetchRequest(nil, single)).Topics[0].Partitions[0]; got.ErrorCode != 0 || len(decodeBatches(t, got.RecordBatches)) != 1 {
		t.Errorf("what is durable is read as %+v", got)
	}
}

// TestADiskThatIsFull refuses, and a client that tries again gets through when there is room.
func TestADiskThatIsFull(t *testing.T) {
	t.Parallel()
	const reserve = 1 << 20
	p, disk := onDisk(t, journal.Options{TailBytes: 1 << 20, Reserve: reserve})
	r := p.raw()
	var retries atomic.Int32
	client := p.client(kgo.WithHooks(produceHook(func() { retries.Add(1) })))
	produce(t, client, orders, "w")
	disk.SetFree(reserve / 2)
	full := func() bool { return errors.Is(p.journal.Health(), journal.ErrFull) }
	for !full() { // the journal looks now and then
		time.Sleep(10 * time.Millisecond)
	}
	if got := r.produceRaw(newBatch("v").bytes()); got.ErrorCode != kerr.KafkaStorageError.Code {
		t.Errorf("the producer is told %+v", got)
	}
	done := make(chan error, 1)
	client.Produce(t.Context(), &kgo.Record{Topic: orders, Value: []byte("v")}, func(_ *kgo.Record, err error) { done <- err })
	for retries.Load() < 3 {
		time.Sleep(10 * time.Millisecond)
	}
	disk.SetFree(10 * reserve)
	if err := <-done; err != nil {
		t.Errorf("the client that tries again gets %v", err)
	}
}

// produceHook is called for each produce request that a client has sent.
type produceHook func()

func (h produceHook) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, _ kgo.BrokerE2E) {
	if key == kmsg.Produce.Int16() {
		h()
	}
}

func TestCodes(t *testing.T) {
	for err, want := range map[error]int16{
		nil:                              0,
		&journal.DamageError{File: "f"}:  kerr.KafkaStorageError.Code,
		journal.ErrTooLarge:              kerr.MessageTooLarge.Code,
		journal.ErrClosed:                kerr.RequestTimedOut.Code,
		journal.ErrOutOfRange:            kerr.OffsetOutOfRange.Code,
		refusal(kerr.InvalidGroupID, ""): kerr.InvalidGroupID.Code,
		io.EOF:                           kerr.UnknownServerError.Code,
	} {
		if err != nil {
			err = fmt.Errorf("doing something: %w", err)
		}
		if got := codeOf(err); got != want {
			t.Errorf("%v: %v, expected %v", err, kerr.ErrorForCode(got), kerr.ErrorForCode(want))
		}
	}
}
