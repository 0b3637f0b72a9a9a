package broker

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// intercepting returns a client as [Connection.Client] does, for records that have to arrive without a hole. A client that is
// refused a record for good drops all that it holds for its partition and takes later records at once, some time before it
// tells whose records it dropped. So refused is told of such an answer before the client reads it: what is produced once
// refused has returned is behind the hole. It may be called by several goroutines at once.
func (c Connection) intercepting(refused func(error), opts ...kgo.Opt) (*kgo.Client, error) {
	security := c.Security
	security.TLS = nil // which the dialer speaks
	dial := kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := c.dial(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return &interceptedConn{Conn: conn, refused: refused, asked: map[int32]asked{}}, nil
	})
	return kgo.NewClient(append(append(append(c.options(), security.options()...), dial), opts...)...)
}

// dialing is how long a connection may take to come about.
const dialing = 10 * time.Second

func (c Connection) dial(ctx context.Context, network, host string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialing}
	if c.Security.TLS == nil {
		return plain.DialContext(ctx, network, host)
	}
	config := c.Security.TLS.Clone()
	if config.ServerName == "" {
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			return nil, fmt.Errorf("the broker's address %q: %w", host, err)
		}
		config.ServerName = name
	}
	return (&tls.Dialer{NetDialer: plain, Config: config}).DialContext(ctx, network, host)
}

// interceptedConn is a connection whose answers are read for refusals before the client reads them.
type interceptedConn struct {
	net.Conn
	refused func(error)

	mu    sync.Mutex // guards asked
	asked map[int32]asked

	head []byte // of the request that is being written
	rest int    // bytes of it that are yet to be written

	answer []byte // what the client has yet to read of an answer
	blind  bool   // what is read are no answers
}

// asked is a request that a refusal may answer.
type asked struct{ key, version int16 }

const (
	requestHead   = 12       // size, key, version, correlation id
	largestAnswer = 64 << 20 // bytes; what claims to be larger is something else, such as TLS
)

// Write notes which requests it writes.
func (o *interceptedConn) Write(b []byte) (int, error) {
	for left := b; len(left) > 0; {
		if o.rest > 0 {
			n := min(o.rest, len(left))
			o.rest, left = o.rest-n, left[n:]
			continue
		}
		n := min(requestHead-len(o.head), len(left))
		o.head, left = append(o.head, left[:n]...), left[n:]
		if len(o.head) == requestHead {
			o.note()
		}
	}
	return o.Conn.Write(b)
}

func (o *interceptedConn) note() {
	o.rest = max(0, int(int32(binary.BigEndian.Uint32(o.head)))-(requestHead-4))
	a := asked{key: int16(binary.BigEndian.Uint16(o.head[4:])), version: int16(binary.BigEndian.Uint16(o.head[6:]))}
	if key := kmsg.Key(a.key); key == kmsg.Produce || key == kmsg.Metadata || key == kmsg.InitProducerID {
		o.mu.Lock()
		o.asked[int32(binary.BigEndian.Uint32(o.head[8:]))] = a
		o.mu.Unlock()
	}
	o.head = o.head[:0]
}

// Read reads a whole answer before it gives a byte of it.
func (o *interceptedConn) Read(b []byte) (int, error) {
	if len(o.answer) == 0 && !o.blind {
		if err := o.next(); err != nil {
			return 0, err
		}
	}
	if len(o.answer) > 0 {
		n := copy(b, o.answer)
		o.answer = o.answer[n:]
		return n, nil
	}
	return o.Conn.Read(b)
}

func (o *interceptedConn) next() error {
	size := make([]byte, 4)
	if n, err := io.ReadFull(o.Conn, size); err != nil {
		o.answer, o.blind = size[:n], true
		if n > 0 {
			return nil
		}
		return err
	}
	n := int32(binary.BigEndian.Uint32(size))
	if n < 4 || n > largestAnswer {
		o.answer, o.blind = size, true
		return nil
	}
	answer := make([]byte, 4+n)
	copy(answer, size)
	if _, err := io.ReadFull(o.Conn, answer[4:]); err != nil {
		return err
	}
	if err := o.refusal(answer[4:]); err != nil {
		o.refused(err)
	}
	o.answer = answer
	return nil
}

// refusal is the error in an answer after which the client drops records.
func (o *interceptedConn) refusal(answer []byte) error {
	id := int32(binary.BigEndian.Uint32(answer))
	o.mu.Lock()
	a, found := o.asked[id]
	delete(o.asked, id)
	o.mu.Unlock()
	if !found {
		return nil
	}
	response := kmsg.ResponseForKey(a.key)
	response.SetVersion(a.version)
	body := kbin.Reader{Src: answer[4:]}
	if response.IsFlexible() {
		kmsg.SkipTags(&body)
	}
	if body.Complete() != nil || response.ReadFrom(body.Src) != nil {
		return nil // the client can't read it either, and asks again
	}
	for code := range codes(response) {
		if err := kerr.ErrorForCode(code); final(err) {
			return fmt.Errorf("the broker refuses a %s for good: %w", kmsg.NameForKey(a.key), err)
		}
	}
	return nil
}

// codes are the error codes of an answer.
func codes(response kmsg.Response) func(yield func(int16) bool) {
	return func(yield func(int16) bool) {
		switch r := response.(type) {
		case *kmsg.ProduceResponse:
			for _, t := range r.Topics {
				for _, p := range t.Partitions {
					if !yield(p.ErrorCode) {
						return
					}
				}
			}
		case *kmsg.MetadataResponse:
			for _, t := range r.Topics {
				if !yield(t.ErrorCode) {
					return
				}
			}
		case *kmsg.InitProducerIDResponse:
			yield(r.ErrorCode)
		}
	}
}

// final tells an error after which a client that tries without limit gives up all the same.
func final(err error) bool {
	switch {
	case err == nil, errors.Is(err, kerr.DuplicateSequenceNumber), errors.Is(err, kerr.ConcurrentTransactions):
		return false
	case errors.Is(err, kerr.CorruptMessage):
		return true
	}
	return !kerr.IsRetriable(err)
}
