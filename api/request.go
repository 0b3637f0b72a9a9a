package api

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/gorilla/mux"

	"stockflow/codecs"
)

const (
	maxBody    = 1 << 20
	maxHeaders = 64 << 10
)

// body returns the body of a request that was let in, if it can be JSON and isn't too large.
func body(r *http.Request) ([]byte, error) {
	awaited, _ := r.Body.(awaitedBody)
	if most := largestBody(r); max(r.ContentLength, int64(len(awaited.text))) > most {
		return nil, tooLarge(most)
	}
	return awaited.text, checkType(r, awaited.text)
}

// largestBody is how large the body of a request may be.
func largestBody(r *http.Request) int64 {
	if strings.HasPrefix(r.URL.Path, deadLettersPath) {
		return maxRepair
	}
	return maxBody
}

// brokenOff says that a body did not come to its end.
func brokenOff(err error) *fault {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &fault{code: "too_slow", detail: "Nothing was done.", cause: err}
	}
	return &fault{code: "unreadable", detail: "Nothing was done. The body broke off.", cause: err}
}

func tooLarge(most int64) *fault {
	return &fault{
		code: "body_too_large", detail: fmt.Sprintf("Nothing was done. The body of this request may have %d bytes.", most),
		header: headers{{"Connection", "close"}},
	}
}

// checkType lets through what says that it is JSON, and what says nothing or what curl says by itself and looks like
// it. An empty body is of any type.
func checkType(r *http.Request, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return &fault{code: "not_json", detail: "Nothing was done. The body must not be compressed."}
	}
	sent := r.Header.Get("Content-Type")
	if sent == "" || sent == "application/json" {
		return nil
	}
	kind, params, err := mime.ParseMediaType(sent)
	charset := params["charset"]
	switch {
	case err != nil, charset != "" && !strings.EqualFold(charset, "utf-8"):
	case kind == "application/json", strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"):
		return nil
	case kind == "application/x-www-form-urlencoded" && strings.HasPrefix(strings.TrimSpace(string(text)), "{"):
		return nil
	}
	return &fault{code: "not_json", detail: "Nothing was done. The Content-Type must be application/json, in UTF-8."}
}

// limitHeaders refuses headers of more than maxHeaders. net/http alone would let through 4 KiB more than it was
// told, and its refusal is no problem+json; it is told a larger number and stands behind this.
func (s *Server) limitHeaders(h http.Handler) http.Handler {
	refuse := s.answer(func(*http.Request) (reply, error) {
		return reply{}, &fault{
			code: "headers_too_large", detail: "The request line and the headers may have 64 KiB together.",
			header: headers{{"Connection", "close"}},
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if headerBytes(r) > maxHeaders {
			refuse.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// sameOrigin refuses writes that a page of another site makes in somebody's browser. Clients that are no browsers, and
// pages of this server, pass.
func (s *Server) sameOrigin(h http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(s.answer(func(*http.Request) (reply, error) {
		return reply{}, &fault{code: "cross_origin", detail: "Nothing was done. A page of another site may not write here."}
	}))
	return protection.Handler(h)
}

// headerBytes is the size of the request line and the headers, as they were on the wire.
func headerBytes(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len("  \r\n") + len("Host: \r\n") + len(r.Host) + len("\r\n")
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(": \r\n") + len(v)
		}
	}
	return n
}

// key returns the id in the path that the route calls name.
func key(r *http.Request, name string) (string, error) {
	id, err := url.PathUnescape(mux.Vars(r)[name])
	if err != nil {
		return "", codecs.Invalid{{Field: name, Problem: "is not written as a path wants it"}}
	}
	return id, codecs.CheckID(name, id)
}

// repeatKey returns the header Idempotency-Key, "" if there is none.
func repeatKey(r *http.Request) (string, error) {
	switch given := r.Header.Values("Idempotency-Key"); {
	case len(given) == 0:
		return "", nil
	case len(given) > 1:
		return "", codecs.Invalid{{Field: keyHeader, Problem: "is given twice"}}
	case given[0] == "":
		return "", codecs.Invalid{{Field: keyHeader, Problem: "is empty"}}
	default:
		return given[0], nil
	}
}

const keyHeader = "Idempotency-Key"

func readNothing(*http.Request) (struct{}, error) { return struct{}{}, nil }

func readOrderID(r *http.Request) (string, error) { return key(r, "order_id") }

func readSKU(r *http.Request) (string, error) { return key(r, "sku") }

// readRow reads a command to the row whose key the path calls name. The body has the given fields; check returns what is
// wrong with what they were filled with. All that is wrong comes back in one error.
func readRow(r *http.Request, name string, fs fields, check func() error) (string, error) {
	id, idErr := key(r, name)
	text, err := body(r)
	if err != nil {
		return "", err
	}
	bad, err := fill(text, fs)
	if err != nil {
		return "", err
	}
	return id, merge(bad, idErr, check())
}
