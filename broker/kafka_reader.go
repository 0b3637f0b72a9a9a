package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// reader reads partitions for several consumers with one client, and so with one connection and one request under way for
// each broker, which waits there until something comes.
type reader struct {
	client     *kgo.Client
	done       chan struct{} // closed when nothing is read any more
	unreadable *sync.Map     // of its connection

	mu      sync.Mutex // guards what follows; held while records are handed out
	turned  *sync.Cond // the reader has handed out what it had polled
	turns   int        // how often
	leavers int        // consumers that wait for that
	wake    func()     // ends the poll that runs
	of      map[TopicPartition]*kafkaPartition
}

// What is fetched at once is compressed, and ten to twenty times as large in memory. A batch that is larger comes alone.
const (
	fetchBytes          = 512 << 10
	fetchPartitionBytes = 32 << 10
)

// reading are the options of a reader's client. What has been fetched waits in memory, at most so much of each broker and
// partition. A partition that begins to be read may have to wait for the request that is under way.
var reading = []kgo.Opt{
	kgo.FetchMaxWait(250 * time.Millisecond),
	kgo.FetchMinBytes(1), // a message ends the wait at once
	kgo.FetchMaxBytes(fetchBytes),
	kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
	// An offset that the log doesn't have is an error: the log was cut.
	kgo.ConsumeResetOffset(kgo.NoResetOffset()),
}

func (c Connection) reader() (*reader, error) {
	client, err := c.Client(reading...)
	if err != nil {
		return nil, err
	}
	r := &reader{client: client, unreadable: &c.kept.unreadable, done: make(chan struct{}), of: map[TopicPartition]*kafkaPartition{}, wake: func() {}}
	r.turned = sync.NewCond(&r.mu)
	go r.run()
	return r, nil
}

func (r *reader) close() {
	r.client.Close()
	<-r.done
}

// add reads a partition from an offset on, and returns nil if it is read already. It has records in place of batches that
// can't be read if it is to have standIns; else such a batch breaks it. broken is called when it can't be read any more, and may
// be called by anyone.
func (r *reader) add(at TopicPartition, from int64, standIns bool, broken func()) *kafkaPartition {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[at] != nil {
		return nil
	}
	p := newKafkaPartition(r, at, broken)
	p.standIns = standIns
	r.of[at] = p
	r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{at.Topic: {at.Partition: kgo.NewOffset().At(from)}})
	return p
}

// remove reads a partition no more. When it returns, nothing of it is on its way that could be taken for what is read of it
// next.
func (r *reader) remove(p *kafkaPartition) {
	only := map[string][]int32{p.at.Topic: {p.at.Partition}}
	r.client.RemoveConsumePartitions(only)
	r.client.ResumeFetchPartitions(only)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leavers++
	r.wake()
	for turn := r.turns; r.turns == turn && !r.ended(); {
		r.turned.Wait()
	}
	r.leavers--
	delete(r.of, p.at)
}

func (r *reader) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// run hands out what comes until the client is closed. It waits for no consumer.
func (r *reader) run() {
	defer r.turn()
	defer close(r.done)
	for {
		fetches := r.poll()
		if fetches.IsClientClosed() {
			return
		}
		r.handOut(fetches)
		r.turn()
	}
}

// poll waits for records, or until somebody waits for it to end.
func (r *reader) poll() kgo.Fetches {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r.mu.Lock()
	r.wake = cancel
	if r.leavers > 0 {
		cancel()
	}
	r.mu.Unlock()
	return r.client.PollRecords(ctx, pollRecords)
}

func (r *reader) handOut(fetches kgo.Fetches) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if p := r.of[TopicPartition{f.Topic, f.Partition}]; p != nil && len(f.Records) > 0 {
			p.high.Store(f.HighWatermark)
			p.deliver(f.Records)
		}
	})
	instead, errs := passUnreadable(r.client, fetches)
	for _, record := range instead {
		r.standIn(record)
	}
	for _, e := range errs {
		r.tell(e)
	}
}

// standIn hands out the record that stands in place of a batch that can't be read, to a consumer that wants such.
func (r *reader) standIn(record *kgo.Record) {
	u := UnreadableOf(record)
	switch p := r.of[u.TopicPartition]; {
	case p == nil:
	case p.standIns:
		r.unreadable.Store(place{u.TopicPartition, u.Last}, u) // before anybody can ask
		p.deliver([]*kgo.Record{record})
	default:
		p.fail(fmt.Errorf("reading %s: %w", p.at, u))
	}
}

func (r *reader) turn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns++
	r.turned.Broadcast()
}

// tell tells a consumer what is wrong with its partition, and all consumers what is wrong with all.
func (r *reader) tell(e kgo.FetchError) {
	if errors.Is(e.Err, context.Canceled) {
		return
	}
	if p := r.of[TopicPartition{e.Topic, e.Partition}]; p != nil {
		p.fail(fmt.Errorf("reading %s: %w", p.at, e.Err))
		return
	}
	if e.Topic == "" {
		for _, p := range r.of {
			p.fail(fmt.Errorf("reading %s: %w", p.at, e.Err))
		}
	}
}
