package kafkaport

import (
	"context"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
)

// fetched is a partition of a fetch.
type fetched struct {
	partition *journal.Partition
	asked     *kmsg.FetchRequestTopicPartition
	err       error
	batches   []byte
}

// fetch answers with durable records, once there are as many bytes as the client wants, or its time is up. There are no
// sessions: each request names all its partitions.
func (r *request) fetch(asked *kmsg.FetchRequest, answer *kmsg.FetchResponse) error {
	answer.ErrorCode = codeOf(checkSession(asked))
	if answer.ErrorCode != 0 {
		return nil
	}
	partitions := r.fetchedPartitions(asked)
	if err := r.awaitRecords(asked, partitions); err != nil {
		return err
	}
	for i := range asked.Topics {
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = asked.Topics[i].Topic, asked.Topics[i].TopicID
		n := len(asked.Topics[i].Partitions)
		for j := range partitions[:n] {
			t.Partitions = append(t.Partitions, partitions[j].answer(asked.IsolationLevel))
		}
		partitions = partitions[n:]
		answer.Topics = append(answer.Topics, t)
	}
	return nil
}

// checkSession refuses to go on with a session, as none was begun here. A client that would like to begin one, in epoch 0,
// gets the id 0, which is none.
func checkSession(asked *kmsg.FetchRequest) error {
	switch {
	case asked.SessionID != 0:
		return kerr.FetchSessionIDNotFound
	case asked.SessionEpoch > 0:
		return kerr.InvalidFetchSessionEpoch
	}
	return nil
}

// fetchedPartitions are those of the request, in its order.
func (r *request) fetchedPartitions(asked *kmsg.FetchRequest) (all []fetched) {
	replica := asked.ReplicaID >= 0 || asked.ReplicaState.ID >= 0
	for i := range asked.Topics {
		topic := &asked.Topics[i]
		t, missing := r.server.topic(topic.Topic, topic.TopicID, asked.Version >= 13)
		for j := range topic.Partitions {
			f := fetched{asked: &topic.Partitions[j]}
			f.partition, f.err = r.server.partition(t, missing, f.asked.Partition)
			if f.err == nil {
				f.err = checkEpoch(f.asked.CurrentLeaderEpoch)
			}
			if f.err == nil && replica {
				f.err = refusal(kerr.TopicAuthorizationFailed, "a journal has no followers")
			}
			all = append(all, f)
		}
	}
	return all
}

// awaitRecords reads until there is enough, or an error to be told, or the time is up. An error of its own means that the
// client has gone.
func (r *request) awaitRecords(asked *kmsg.FetchRequest, partitions []fetched) error {
	limits := &r.server.limits
	wait := min(max(time.Duration(asked.MaxWaitMillis)*time.Millisecond, 0), limits.FetchWait)
	ctx, cancel := context.WithTimeout(r.ctx, wait)
	defer cancel()
	for {
		wakes := wakesOf(partitions)
		size, failed, err := r.readPartitions(asked, partitions)
		if err != nil || failed || size > 0 && size >= int(asked.MinBytes) || ctx.Err() != nil {
			return err
		}
		r.release() // who waits holds no memory, and reads again
		waitAny(ctx, wakes)
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
	}
}

// wakesOf returns channels of which one is closed when there is more to be read.
func wakesOf(partitions []fetched) (wakes []<-chan struct{}) {
	for i := range partitions {
		f := &partitions[i]
		if f.err != nil {
			continue
		}
		_, end := f.partition.Bounds(journal.Durable)
		wakes = append(wakes, f.partition.Follow(max(end, f.asked.FetchOffset), journal.Durable).Wake())
	}
	return wakes
}

// waitAny waits until one of the channels is closed, or the context ends.
func waitAny(ctx context.Context, channels []<-chan struct{}) {
	cases := make([]reflect.SelectCase, 0, len(channels)+1)
	cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())})
	for _, c := range channels {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	reflect.Select(cases)
}

// largestAnswer is the most memory that the records of an answer take, while they are read and once they are batches: one
// record may be larger than what was asked for.
func largestAnswer(fetch int) int64 { return 2 * int64(max(fetch, largestRecord)) }

// largestRecord is what the journal takes, and what it becomes in a batch.
const largestRecord = 9 << 20

// readPartitions reads what there is, within the limits of the request and of the server, and holds as much of the memory
// for answers. failed is whether a partition has an error, which the client is told at once.
func (r *request) readPartitions(asked *kmsg.FetchRequest, partitions []fetched) (size int, failed bool, err error) {
	most := largestAnswer(r.server.limits.Fetch)
	if err := r.server.answers.Acquire(r.ctx, most); err != nil {
		return 0, false, err
	}
	limit := min(int(asked.MaxBytes), r.server.limits.Fetch)
	for i := range partitions {
		f := &partitions[i]
		if f.err == nil {
			f.read(limit-size, size == 0)
			size += len(f.batches)
		}
		if f.err != nil {
			failed = true
			r.server.report("reading for a Kafka client failed", f.err)
		}
	}
	r.held = min(2*int64(size), most) // the batches, and the answer that they are copied to
	r.server.answers.Release(most - r.held)
	return size, failed, nil
}

// read reads at most limit bytes, or one record that is larger if it is the first of the answer.
func (f *fetched) read(limit int, first bool) {
	f.batches = nil
	limit = min(limit, int(f.asked.PartitionMaxBytes))
	if first {
		limit = max(limit, 1)
	}
	if limit <= 0 {
		return
	}
	if start, end := f.partition.Bounds(journal.Durable); f.asked.FetchOffset < start || f.asked.FetchOffset > end {
		f.err = kerr.OffsetOutOfRange
		return
	}
	records, err := f.partition.Follow(f.asked.FetchOffset, journal.Durable).Try(limit)
	if len(records) == 0 {
		f.err = err // of what could be read before, the client is told first
		return
	}
	f.batches = appendBatches(nil, records, limit, first)
}

// appendBatches appends records as batches of at most limit bytes; of more, if the first record alone has more and must go.
// A batch ends where time goes on, as all its records have one.
func appendBatches(dst []byte, records []journal.Record, limit int, must bool) []byte {
	for len(records) > 0 {
		size, n := batchHeader, 0
		for n < len(records) && records[n].Time == records[0].Time && records[n].Offset-records[0].Offset <= maxOffsetDelta {
			body := recordBody(&records[n], records[0].Offset)
			more := kbin.VarintLen(int32(body)) + body
			if len(dst)+size+more > limit && (!must || n > 0 || len(dst) > 0) {
				break
			}
			size += more
			n++
		}
		if n == 0 {
			return dst
		}
		dst = appendBatch(dst, records[:n])
		records = records[n:]
	}
	return dst
}

const maxOffsetDelta = 1 << 30

// answer is what the client is told of the partition.
func (f *fetched) answer(isolation int8) kmsg.FetchResponseTopicPartition {
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition, p.ErrorCode = f.asked.Partition, codeOf(f.err)
	p.HighWatermark, p.LastStableOffset, p.LogStartOffset = -1, -1, -1
	p.RecordBatches = []byte{} // null isn't understood by all clients
	if f.partition != nil {
		p.LogStartOffset, p.HighWatermark = f.partition.Bounds(journal.Durable)
		p.LastStableOffset = p.HighWatermark
	}
	if f.batches != nil {
		p.RecordBatches = f.batches
	}
	if isolation == 1 {
		p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	}
	return p
}
