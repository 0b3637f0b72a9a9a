package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/processors"
	"stockflow/views"
)

// A token names a write: where it landed, and for which key. Whoever reads after it sees the write and everything
// that followed from it. It carries a code, so that one that was made up, or comes from another Stockflow, is told
// from a good one.

// tokenHeader is on the answer to every write.
const tokenHeader = "Stockflow-Token"

// tokenLogs are the logs that clients write to; a token has their place in this list, which only grows.
var tokenLogs = []string{processors.OrderEvents, processors.InventoryEvents, processors.ShipmentEvents, processors.NotificationEvents}

const (
	tokenVersion = 1
	tokenCode    = 8 // bytes
)

type token struct {
	log, key string
	at       engine.Position
}

// stamp writes a token down. realm is what this Stockflow has and others don't.
func (t token) stamp(realm []byte) string {
	b := make([]byte, 0, 2+2*binary.MaxVarintLen64+len(t.key)+tokenCode)
	b = append(b, tokenVersion, byte(slices.Index(tokenLogs, t.log)))
	b = binary.AppendUvarint(b, uint64(t.at.Partition))
	b = binary.AppendUvarint(b, uint64(t.at.Offset))
	return seal(realm, append(b, t.key...))
}

// seal writes down bytes that only those of this realm can have written.
func seal(realm, b []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(b, code(realm, b)...))
}

// unseal reads what seal has written of at least a byte, to the letter, and returns false if it is nothing of the kind. In no
// realm there is nothing.
func unseal(realm []byte, text string) (b []byte, ok bool) {
	if len(realm) == 0 {
		return nil, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) <= tokenCode || strings.ContainsAny(text, "\r\n") { // which base64 overlooks
		return nil, false
	}
	b, sum := sealed[:len(sealed)-tokenCode], sealed[len(sealed)-tokenCode:]
	return b, hmac.Equal(sum, code(realm, b))
}

func code(realm, text []byte) []byte {
	h := hmac.New(sha256.New, realm)
	h.Write(text)
	return h.Sum(nil)[:tokenCode]
}

// parseToken reads a token of this realm.
func parseToken(realm []byte, text string) (token, error) {
	foreign := codecs.Invalid{{Field: "after", Problem: "is not a Stockflow-Token that was given out here"}}
	b, ok := unseal(realm, text)
	if !ok || len(b) < 2 || b[0] != tokenVersion || int(b[1]) >= len(tokenLogs) {
		return token{}, foreign
	}
	t := token{log: tokenLogs[b[1]]}
	partition, n := binary.Uvarint(b[2:])
	offset, m := binary.Uvarint(b[2+max(n, 0):])
	if n <= 0 || m <= 0 {
		return token{}, foreign
	}
	t.at = engine.Position{Partition: int32(partition), Offset: int64(offset)}
	t.key = string(b[2+n+m:])
	return t, nil
}

// writePosition is what a request's write has of its request and its answer of the write. It travels in the request's context.
type writePosition struct {
	token string // where the write went
	trace string // the header traceparent, if it has the form that W3C gives it
}

// traceParent is the form of a traceparent of version 00.
var traceParent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

type writePositionKey struct{}

// withLanding gives a request a place for its token.
func withLanding(r *http.Request) (*http.Request, *writePosition) {
	l := new(writePosition)
	if t := r.Header.Get("Traceparent"); t != "" && traceParent.MatchString(t) {
		l.trace = t
	}
	return r.WithContext(context.WithValue(r.Context(), writePositionKey{}, l)), l
}

// land notes where a write went.
func (s *Server) land(ctx context.Context, o engine.Output, at engine.Position) {
	if l, ok := ctx.Value(writePositionKey{}).(*writePosition); ok {
		l.token = token{o.Log, o.Key, at}.stamp(s.realm)
	}
}

// How long a read waits for the write it is to come after.
const (
	defaultFresh = 2 * time.Second
	maxFresh     = 30 * time.Second
)

// fresh makes a read of the table of a log wait, if it was asked to by ?after=TOKEN&wait=SECONDS.
func (s *Server) fresh(log string, read endpoint) endpoint {
	return func(r *http.Request) (reply, error) {
		t, wait, err := s.readAfter(r.URL.Query())
		if err != nil {
			return reply{}, err
		}
		if t != nil {
			ctx, cancel := s.waiting(r.Context(), wait)
			defer cancel()
			if err := s.follow(ctx, *t, log); err != nil {
				return reply{}, err
			}
		}
		return read(r)
	}
}

// readAfter reads the two parameters. Without after there is nothing to wait for.
func (s *Server) readAfter(q url.Values) (*token, time.Duration, error) {
	var bad codecs.Invalid
	wait := defaultFresh
	if q.Has("wait") {
		n, err := strconv.ParseFloat(q.Get("wait"), 64)
		if err != nil || !(n >= 0) {
			bad = append(bad, codecs.FieldError{Field: "wait", Problem: "must be a number of seconds, 0 or more"})
		}
		wait = time.Duration(min(n, maxFresh.Seconds()) * float64(time.Second))
	}
	for _, name := range []string{"after", "wait"} {
		if len(q[name]) > 1 {
			bad = append(bad, codecs.FieldError{Field: name, Problem: "must not be given twice"})
		}
	}
	if !q.Has("after") {
		return nil, 0, bad.Err()
	}
	if _, err := parseToken(s.former, q.Get("after")); err == nil {
		return nil, 0, &fault{code: "token_expired", detail: "The write was before the logs were moved to another broker, so it is no longer known what followed from it."}
	}
	t, err := parseToken(s.realm, q.Get("after"))
	var invalid codecs.Invalid
	if errors.As(err, &invalid) {
		bad = append(bad, invalid...)
	}
	return &t, wait, bad.Err()
}

// follow waits until a write and what followed from it can be read.
func (s *Server) follow(ctx context.Context, t token, target string) error {
	err := s.tables.Follow(ctx, t.log, t.at.Partition, t.at.Offset, t.key, target)
	var lagging *views.Lagging
	switch {
	case errors.As(err, &lagging):
		return &fault{code: "not_yet", detail: fmt.Sprintf("The time was over before everything could be seen that followed from the write: %v.", lagging)}
	case errors.Is(err, views.ErrExpired):
		return &fault{code: "token_expired", detail: "The write was taken in, but so long ago, or before a restart, that it is no longer known what followed from it."}
	}
	return err
}
