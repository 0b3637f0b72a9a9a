package kafkaport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
)

// errNoAnswer is returned for a request that its client wants no answer to.
var errNoAnswer = errors.New("no answer is wanted")

// How long a producer may have its request wait for the disk.
const (
	shortestProduce = time.Second
	longestProduce  = time.Minute
)

// appended is what became of a partition of a request.
type appended struct {
	offset, time int64
	at           journal.Position
	err          error
}

// produce appends the batch of each partition, and answers when all that was appended is durable. A partition that is
// refused stops no other. Who wants no answer isn't waited for, and is disconnected if something was refused, as that is the
// only way to tell.
func (r *request) produce(asked *kmsg.ProduceRequest, answer *kmsg.ProduceResponse) error {
	results := r.appendAll(asked)
	if asked.Acks == 0 {
		for _, a := range results {
			if a.err != nil {
				return fmt.Errorf("produce without acknowledgement: %w", a.err)
			}
		}
		return errNoAnswer
	}
	r.waitDurable(asked, results)
	fillProduced(asked, answer, results)
	return nil
}

// appendAll returns what became of each partition, in the order of the request.
func (r *request) appendAll(asked *kmsg.ProduceRequest) (results []appended) {
	refused := checkProduce(asked)
	for _, topic := range asked.Topics {
		t, missing := r.server.topic(topic.Topic, topic.TopicID, asked.Version >= 13)
		for _, partition := range topic.Partitions {
			if refused != nil {
				results = append(results, appended{err: refused})
				continue
			}
			results = append(results, r.appendTo(t, missing, partition.Partition, partition.Records))
		}
	}
	return results
}

// checkProduce refuses what no partition can make good.
func checkProduce(asked *kmsg.ProduceRequest) error {
	switch {
	case asked.TransactionID != nil:
		return refusal(kerr.TransactionalIDAuthorizationFailed, "there are no transactions here")
	case asked.Acks < -1 || asked.Acks > 1:
		return refusal(kerr.InvalidRequiredAcks, "acks may be 0, 1 and -1")
	}
	return nil
}

// appendTo appends a batch to a partition. A batch that the journal has already is where it was.
func (r *request) appendTo(t journal.Topic, missing error, n int32, sent []byte) (a appended) {
	p, err := r.server.partition(t, missing, n)
	if err != nil {
		return appended{err: err}
	}
	if !r.server.isWritable(t) {
		return appended{err: refusal(kerr.TopicAuthorizationFailed, t.Name+" is written by Stockflow alone")}
	}
	// The server's context: a client that has gone may have wanted no answer, and what it sent counts.
	b, release, err := r.server.decodeBatch(r.server.ctx, sent)
	if err != nil {
		return appended{err: err}
	}
	defer release()
	if b.idempotent {
		a.offset, a.at, a.err = p.AppendFrom(b.producer, b.records...)
	} else {
		a.offset, a.at, a.err = p.Append(b.records...)
	}
	if a.time = b.records[0].Time; errors.Is(a.err, journal.ErrDuplicate) {
		a.err, a.time = nil, -1
	}
	if a.err != nil {
		r.server.report("appending for a Kafka producer failed", a.err)
	}
	return a
}

// waitDurable waits until all that was appended is durable, and writes into the results which is not.
func (r *request) waitDurable(asked *kmsg.ProduceRequest, results []appended) {
	var last journal.Position
	for _, a := range results {
		last = max(last, a.at)
	}
	timeout := min(max(time.Duration(asked.TimeoutMillis)*time.Millisecond, shortestProduce), longestProduce)
	ctx, cancel := context.WithTimeout(r.ctx, timeout)
	defer cancel()
	err := r.server.journal.WaitDurable(ctx, last)
	if err == nil {
		return
	}
	if r.ctx.Err() == nil {
		r.server.report("what a Kafka producer sent is not durable yet", err)
	}
	durable := r.server.journal.Durable()
	for i := range results {
		if results[i].err == nil && results[i].at > durable {
			results[i].err = err
		}
	}
}

// fillProduced writes the results, which are in the order of the request, into its answer.
func fillProduced(asked *kmsg.ProduceRequest, answer *kmsg.ProduceResponse, results []appended) {
	for _, topic := range asked.Topics {
		t := kmsg.NewProduceResponseTopic()
		t.Topic, t.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			a := results[0]
			results = results[1:]
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = partition.Partition, codeOf(a.err), textOf(a.err)
			p.BaseOffset, p.LogAppendTime, p.LogStartOffset = -1, -1, -1
			if a.err == nil {
				p.BaseOffset, p.LogAppendTime, p.LogStartOffset = a.offset, a.time, 0 // logs are kept for ever
			}
			t.Partitions = append(t.Partitions, p)
		}
		answer.Topics = append(answer.Topics, t)
	}
}

// initProducerID gives out an id that nobody has had, durably. Idempotent producers raise their epochs themselves.
func (r *request) initProducerID(asked *kmsg.InitProducerIDRequest, answer *kmsg.InitProducerIDResponse) error {
	answer.ProducerID, answer.ProducerEpoch = -1, -1
	if asked.TransactionalID != nil {
		answer.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		return nil
	}
	id, err := r.server.journal.NewProducerID()
	if err != nil {
		r.server.report("giving out a Kafka producer id failed", err)
		answer.ErrorCode = coordinatorCodeOf(err)
		return nil
	}
	answer.ProducerID, answer.ProducerEpoch = id, 0
	return nil
}
