package api

import (
	"io"
	"net/http"
	"time"
)

// A refusal may come before the body of its request has arrived. A connection that is closed while bytes of it come in is reset, and the
// client loses the answer. So the rest is read and dropped, within these bounds:
const (
	lingerBytes = 2 << 20
	lingerTime  = 30 * time.Second
	lingerIdle  = 5 * time.Second // for the next bytes
	mostLinger  = 512             // at once
)

// lingering prepares w for an answer to r that may come before the body does. What it returns is called once that is written.
func (s *Server) lingering(w http.ResponseWriter, r *http.Request) (after func()) {
	if hasArrived(r) || !s.gate.lingering.take() {
		return func() {}
	}
	control := http.NewResponseController(w)
	if control.EnableFullDuplex() != nil { // or net/http would read the body before it sends the answer
		return s.gate.lingering.give
	}
	w.Header().Set("Connection", "close")
	return func() {
		defer s.gate.lingering.give()
		if control.Flush() == nil {
			drop(r.Body, control)
		}
	}
}

// drop reads a body to its end, or as far as lingerBytes and the times for it allow.
func drop(body io.Reader, control *http.ResponseController) {
	end := time.Now().Add(lingerTime)
	buffer := make([]byte, 4<<10)
	for read := 0; read < lingerBytes; {
		if control.SetReadDeadline(earlier(end, time.Now().Add(lingerIdle))) != nil {
			return
		}
		n, err := body.Read(buffer)
		if read += n; err != nil {
			return
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// hasArrived reports whether there is nothing left to read of the body of r.
func hasArrived(r *http.Request) bool {
	if awaited, ok := r.Body.(awaitedBody); ok {
		return awaited.whole
	}
	return r.Body == nil || r.Body == http.NoBody || r.Header.Get("Expect") != "" // whose body comes after an answer that asks for it
}
