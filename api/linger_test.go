package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestARefusalIsReadByWhoStillSends: clients send a whole body before they look for an answer, as most do, and the answer came long
// before that.
func TestARefusalIsReadByWhoStillSends(t *testing.T) {
	const clients = 150
	body := strings.Repeat(" ", maxBody)
	for _, c := range []struct {
		name, host string
		held       int64
		status     int
	}{
		{"no memory", "localhost", 10, 503},
		{"another server", "evil.example", maxHeld, 421},
		{"too large", "localhost", maxHeld, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := pressed(t, Pressure{}, &paper{})
			d.gate.maxHeld = c.held
			address, _ := d.listening(t)
			sent := body
			if c.status == 413 {
				sent += " "
			}
			var all sync.WaitGroup
			var lost atomic.Int32
			for range clients {
				all.Go(func() {
					status, err := sendsAll(address, c.host, sent)
					if err != nil {
						lost.Add(1)
					} else if status != c.status {
						t.Errorf("a client is answered with %d, expected %d", status, c.status)
					}
				})
			}
			all.Wait()
			if lost.Load() > 0 {
				t.Errorf("%d of %d clients lost their answer", lost.Load(), clients)
			}
			if err := d.http.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(d.gate.lingering); n != 0 {
				t.Errorf("%d requests are still read", n)
			}
		})
	}
}

// sendsAll sends an order's whole body, and then reads the answer.
func sendsAll(address, host, body string) (status int, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetWriteBuffer(4 << 10); err != nil { // so that it is the server who takes the body
		return 0, err
	}
	if _, err := fmt.Fprintf(conn, "POST /v1/orders HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, len(body), body); err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, errors.Join(err, answer.Body.Close())
}

// TestWhoIsRefusedHoldsNoMemory while the rest of its body is awaited.
func TestWhoIsRefusedHoldsNoMemory(t *testing.T) {
	d := pressed(t, Pressure{}, &paper{})
	d.gate.maxHeld = 1_000
	address, _ := d.listening(t)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", maxBody, strings.Repeat(" ", 1_000))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != 503 {
		t.Fatal(answer, err)
	}
	_ = answer.Body.Close()
	if held := d.gate.held.Load(); held != 0 || len(d.gate.lingering) != 1 {
		t.Errorf("%d bytes are held, and %d bodies awaited", held, len(d.gate.lingering))
	}
}
