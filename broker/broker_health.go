package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// signOfLife is how long brokers may take to answer when they are asked for nothing else.
const signOfLife = time.Second

// answers asks the brokers for a sign of life, for at most a second. One that answers is enough: all are asked at once,
// so that one that is silent doesn't stand for the others.
func (w *kafkaWriter) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), signOfLife)
	defer cancel()
	brokers := append(w.client.DiscoveredBrokers(), w.client.SeedBrokers()...)
	answers := make(chan error, len(brokers))
	for _, b := range brokers {
		go func() { answers <- askOne(ctx, b) }()
	}
	var err error
	for range brokers {
		if err = <-answers; err == nil {
			return nil
		}
	}
	return w.conn.Explain(err)
}

func askOne(ctx context.Context, b *kgo.Broker) error {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	_, err := b.Request(ctx, request)
	return err
}

// brokerHealth knows whether any broker answers, so that not everybody who writes has to find out by waiting. It begins to ask when
// somebody has waited in vain, and goes on until there is an answer; it is not asked for while all is well.
type brokerHealth struct {
	ask    func() error
	ctx    context.Context
	end    context.CancelFunc
	asking sync.WaitGroup

	mu     sync.Mutex // guards what follows
	doubts bool       // somebody asks
	answer error      // why nobody can be reached, nil if that isn't known
	closed bool
}

// again is how long after an answer that didn't come it is asked again.
const again = 250 * time.Millisecond

func (r *brokerHealth) open(ask func() error) {
	r.ask = ask
	r.ctx, r.end = context.WithCancel(context.Background())
}

// lost returns why nobody can be reached, nil as far as that isn't known.
func (r *brokerHealth) lost() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answer
}

// doubt is for whoever has waited in vain. It doesn't wait.
func (r *brokerHealth) doubt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doubts || r.closed {
		return
	}
	r.doubts = true
	r.asking.Go(r.until)
}

// until asks until there is an answer.
func (r *brokerHealth) until() {
	for r.learn(r.ask()) {
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(again):
		}
	}
}

// learn notes what came of asking, and reports whether to go on.
func (r *brokerHealth) learn(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer, r.doubts = nil, err != nil
	if err != nil {
		r.answer = fmt.Errorf("no broker answers: %w", err)
	}
	return r.doubts
}

// close ends the asking.
func (r *brokerHealth) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.asking.Wait()
}
