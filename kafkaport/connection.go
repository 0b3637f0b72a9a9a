package kafkaport

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A connection answers one request after the other, as Kafka does. One goroutine reads, at most one request ahead, so that
// it is seen at once when the client goes; another one carries out and answers.
type connection struct {
	server  *Server
	conn    net.Conn
	in      *bufio.Reader // of the goroutine that reads
	buffer  []byte        // of the one that answers
	ctx     context.Context
	cancel  context.CancelFunc
	working atomic.Bool // a request is being carried out
}

// frame is a request as it came.
type frame struct {
	body []byte
	cost int64 // that it holds of Server.requests
}

func newConnection(s *Server, conn net.Conn) *connection {
	ctx, cancel := context.WithCancel(s.ctx)
	return &connection{server: s, conn: conn, in: bufio.NewReader(conn), ctx: ctx, cancel: cancel}
}

// serve returns when the connection has ended, and everything that was done for it.
func (c *connection) serve() {
	frames, ended := make(chan frame), make(chan struct{})
	go func() {
		defer close(ended)
		defer c.cancel()
		defer close(frames)
		c.complain(c.read(frames))
	}()
	c.complain(c.answerAll(frames))
	c.cancel()
	_ = c.conn.Close() // the answers that matter have been written
	for f := range frames {
		c.server.requests.Release(f.cost)
	}
	<-ended
}

// complain logs why a connection was ended from here.
func (c *connection) complain(err error) {
	if err == nil || c.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return
	}
	c.server.log.Warn("closing a Kafka connection", "client", c.conn.RemoteAddr(), "error", err)
}

// read hands over one request after the other until the connection ends.
func (c *connection) read(frames chan<- frame) error {
	for {
		f, err := c.readFrame()
		if err != nil {
			return err
		}
		select {
		case frames <- f:
		case <-c.ctx.Done():
			c.server.requests.Release(f.cost)
			return c.ctx.Err()
		}
	}
}

// readFrame reads a request. While others use up the memory for requests, it waits, and the client with it.
func (c *connection) readFrame() (frame, error) {
	size, err := c.awaitFrame()
	if err != nil {
		return frame{}, err
	}
	f := frame{cost: int64(size)}
	if err := c.server.requests.Acquire(c.ctx, f.cost); err != nil {
		return frame{}, err
	}
	f.body = make([]byte, size)
	err = c.conn.SetReadDeadline(time.Now().Add(c.server.limits.Transfer))
	if err == nil {
		_, err = io.ReadFull(c.in, f.body)
	}
	if err != nil {
		c.server.requests.Release(f.cost)
		return frame{}, fmt.Errorf("read a request of %d bytes: %w", size, err)
	}
	return f, nil
}

// awaitFrame waits for the first bytes of a request, and returns its size.
func (c *connection) awaitFrame() (int, error) {
	const start = 6 // size, and kind of request
	for {
		if err := c.conn.SetReadDeadline(time.Now().Add(c.server.limits.Idle)); err != nil {
			return 0, err
		}
		head, err := c.in.Peek(start)
		if isTimeout(err) && len(head) == 0 && c.working.Load() {
			continue // the client waits for an answer
		}
		if isTimeout(err) && len(head) == 0 {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		size, limit := binary.BigEndian.Uint32(head), c.server.limits.Command
		if kmsg.Key(binary.BigEndian.Uint16(head[4:])) == kmsg.Produce {
			limit = c.server.limits.Request
		}
		if size < smallestRequest || int64(size) > int64(limit) {
			return 0, fmt.Errorf("%w: %d bytes, it may have %d to %d", errMalformed, size, smallestRequest, limit)
		}
		_, err = c.in.Discard(4)
		return int(size), err
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// answerAll carries out requests until the connection ends or can't go on.
func (c *connection) answerAll(frames <-chan frame) error {
	for f := range frames {
		c.working.Store(true)
		err := c.answer(f)
		c.working.Store(false)
		c.server.requests.Release(f.cost)
		if err != nil {
			return err
		}
	}
	return nil
}

// answer carries out one request. An error ends the connection, and so does a panic, which is a mistake in this package.
func (c *connection) answer(f frame) (err error) {
	r := &request{server: c.server, ctx: c.ctx, host: hostOf(c.conn)}
	defer r.release()
	defer func() {
		if p := recover(); p != nil {
			c.server.log.Error("a Kafka request failed", "kind", r.kind.Name(), "version", r.version, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s version %d: panic: %v", r.kind.Name(), r.version, p)
		}
	}()
	answer, err := r.carryOut(f.body)
	if err != nil || answer == nil {
		return err
	}
	return c.write(r, answer)
}

// write sends an answer, with the header that its version has.
func (c *connection) write(r *request, answer kmsg.Response) error {
	b := binary.BigEndian.AppendUint32(c.buffer[:0], 0) // its size, known below
	b = binary.BigEndian.AppendUint32(b, uint32(r.correlation))
	if answer.IsFlexible() && r.kind != kmsg.ApiVersions { // clients read that one before they know what the broker speaks
		b = append(b, 0)
	}
	b = answer.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if c.buffer = nil; cap(b) <= 64<<10 {
		c.buffer = b
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.server.limits.Transfer)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

func hostOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}
