package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// listenKafka listens as net.Listen does and lets only Kafka's protocol through: the server behind it takes the size
// of a request on trust, and a request that it doesn't know by its number ends the process. A browser that comes to
// the wrong port must not do that.
func listenKafka(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("listen for Kafka clients: %w", err)
	}
	return listener{l}, nil
}

type listener struct{ net.Listener }

// Accept returns connections that end with an error at the first bytes that aren't a request.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

const (
	largestRequest  = 100 << 20 // as Kafka's socket.request.max.bytes
	smallestRequest = 8         // key, version and correlation id
)

// conn is a connection whose requests are looked at before they are passed on. Only the server's reader uses it.
type conn struct {
	net.Conn
	head []byte // what was read of a request's beginning and not yet passed on
	left int    // how much of the request is still to be read, after head
}

// Read is io.Reader's.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.head) == 0 && c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// next reads the size of the next request and its key, which says what kind it is.
func (c *conn) next() error {
	head := make([]byte, 6)
	if _, err := io.ReadFull(c.Conn, head); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(head))
	key := int16(binary.BigEndian.Uint16(head[4:]))
	if size < smallestRequest || size > largestRequest || kmsg.RequestForKey(key) == nil {
		return fmt.Errorf("not a request of Kafka's protocol: %d bytes of kind %d", size, key)
	}
	c.head, c.left = head, size-2
	return nil
}
