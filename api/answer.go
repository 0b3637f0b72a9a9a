package api

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// endpoint answers a request without writing: with a reply, or with an error that faultOf knows to name.
type endpoint func(*http.Request) (reply, error)

// reply is a success.
type reply struct {
	status int
	header headers
	body   any // to be written as JSON, if it is not selfServed
}

// selfServed is a body that writes itself: a page, or one that does not end.
type selfServed interface {
	serve(http.ResponseWriter, *http.Request)
}

// headers are those of an answer that are its own.
type headers []struct{ name, value string }

func (hs headers) set(h http.Header) {
	for _, own := range hs {
		h.Set(own.name, own.value)
	}
}

// These are the same in all answers; nobody changes them.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// answer writes what e returns.
func (s *Server) answer(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, landed := withLanding(r)
		rep, err := e(r)
		if landed.token != "" { // what was refused has landed too
			w.Header().Set(tokenHeader, landed.token)
		}
		if err != nil {
			s.refuse(w, r, faultOf(err))
			return
		}
		if own, ok := rep.body.(selfServed); ok {
			own.serve(w, r)
			return
		}
		write(w, rep.status, "application/json", rep.header, rep.body)
	})
}

// refuse writes a problem. What Stockflow itself has at fault is logged here; what the log has is logged where it was
// written to, and what clients have is theirs.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f *fault) {
	p := f.problem()
	if f.code == "internal" && r.Context().Err() == nil {
		s.log.Error("a request failed", "method", r.Method, "route", routeOf(w), "error", f.cause)
	}
	after := s.lingering(w, r)
	write(w, p.Status, "application/problem+json", f.header, p)
	after()
}

// write writes an answer in one piece. Its error is that of a client that has gone: there is nobody to tell.
func write(w http.ResponseWriter, status int, contentType string, more headers, body any) {
	text, err := json.Marshal(body)
	if err != nil { // only strings, numbers and lists are ever written
		panic(err)
	}
	h := w.Header()
	more.set(h)
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
