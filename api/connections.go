package api

import (
	linked "container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// connections are those that are open, at most so many. When there are more, the one gives way that nothing has been
// done for the longest: a client that trickles its headers or its body, or that was just idle. So slow clients, however
// many, keep nobody out who sends a request in one go.
type connections struct {
	most    int    // 0 is no limit
	refused func() // called for each that had to give way

	mu    sync.Mutex // guards what follows
	all   map[net.Conn]*connection
	quiet linked.List // of *connection: those that no request is answered for, the longest so first
}

// connection is owned by connections, under its mutex.
type connection struct {
	conn  net.Conn
	quiet *linked.Element // nil while a request is answered
}

func newConnections(most int, refused func()) *connections {
	return &connections{most: most, refused: refused, all: map[net.Conn]*connection{}}
}

// connectionKey is under which the context of a request has its *connection.
type connectionKey struct{}

// opened takes a new connection in. It is an http.Server's ConnContext.
func (cs *connections) opened(ctx context.Context, conn net.Conn) context.Context {
	if cs.most == 0 {
		return ctx
	}
	c := &connection{conn: conn}
	if late := cs.add(c); late != nil {
		cs.refused()
		_ = late.Close() // its own goroutine finds out and ends
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// add returns the connection that has to give way, nil if none has. It is the new one itself when all others work.
func (cs *connections) add(c *connection) net.Conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.all[c.conn] = c
	c.quiet = cs.quiet.PushBack(c)
	if len(cs.all) <= cs.most {
		return nil
	}
	late := cs.quiet.Front().Value.(*connection)
	cs.forget(late)
	return late.conn
}

// changed forgets connections that are closed. It is an http.Server's ConnState.
func (cs *connections) changed(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c := cs.all[conn]; c != nil {
		cs.forget(c)
	}
}

// forget removes c. The caller holds mu.
func (cs *connections) forget(c *connection) {
	delete(cs.all, c.conn)
	if c.quiet != nil {
		cs.quiet.Remove(c.quiet)
		c.quiet = nil
	}
}

// work says that a request is being answered, and returns its connection for rest, nil if it isn't kept.
func (cs *connections) work(ctx context.Context) *connection {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return nil
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.quiet != nil {
		cs.quiet.Remove(c.quiet)
		c.quiet = nil
	}
	return c
}

// rest says that the request is answered that c was working for. nil is none.
func (cs *connections) rest(c *connection) {
	if c == nil {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.all[c.conn] == c {
		c.quiet = cs.quiet.PushBack(c)
	}
}
