package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"stockflow/codecs"
	"stockflow/replay/history"
)

// A row as it was is the fold of its log up to a time, by the log's own clock. It is shown as the row is now.

// moment asks for the row of a key as it was.
type moment struct {
	key string
	at  int64 // milliseconds since 1970
}

// row is a route to a row as it is now, or with ?at= as it was.
func (s *Server) row(log string, now, past endpoint) endpoint {
	now = s.fresh(log, now)
	return func(r *http.Request) (reply, error) {
		if r.URL.Query().Has("at") {
			return past(r)
		}
		return now(r)
	}
}

// asOf reads a moment whose key read reads.
func (s *Server) asOf(read func(*http.Request) (string, error)) func(*http.Request) (moment, error) {
	return func(r *http.Request) (moment, error) {
		var m moment
		var bad codecs.Invalid
		key, keyErr := read(r)
		m.key = key
		q := r.URL.Query()
		for _, name := range []string{"after", "wait"} {
			if q.Has(name) {
				bad = append(bad, codecs.FieldError{Field: "at", Problem: "can't be asked for together with " + name})
			}
		}
		at, problem := parseTime(q.Get("at"), time.Now())
		if len(q["at"]) > 1 {
			problem = "must not be given twice"
		}
		if m.at = at; problem != "" {
			bad = append(bad, codecs.FieldError{Field: "at", Problem: problem})
		}
		return m, merge(nil, keyErr, bad.Err())
	}
}

// milliseconds is a time as programs write it.
var milliseconds = regexp.MustCompile(`^[0-9]{1,15}$`)

// parseTime reads a time that has been, or says what is wrong with it. A plus that was not escaped comes as a blank.
func parseTime(text string, now time.Time) (ms int64, problem string) {
	if milliseconds.MatchString(text) {
		ms, _ = strconv.ParseInt(text, 10, 64)
	} else {
		at, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
		if err != nil {
			return 0, "must be a time as 2026-01-05T09:30:00.000Z, or in milliseconds since 1970"
		}
		ms = at.UnixMilli()
	}
	if ms > now.UnixMilli() {
		return 0, "is in the future; now it is " + showTime(now.UnixMilli())
	}
	return ms, ""
}

// lookTimeout is how long a look back waits for the history to come as far as the log.
const lookTimeout = 2 * time.Second

// past answers with a row as it was.
func past[S any](ctx context.Context, s *Server, sh resource[S], m moment) (reply, error) {
	looking, cancel := s.waiting(ctx, lookTimeout)
	defer cancel()
	found, err := s.history.At(looking, sh.log, m.key, m.at)
	unborn, early := new(history.Unborn), new(history.BeforeLog)
	switch {
	case errors.As(err, &unborn):
		return reply{}, sh.unborn(m, unborn.Since)
	case errors.As(err, &early):
		return reply{}, codecs.Invalid{{Field: "at", Problem: fmt.Sprintf("is before %s begins, which is at %s", early.Log, showTime(early.First))}}
	case err != nil:
		return reply{}, cause(ctx, err)
	}
	body, err := sh.shown(m.key, found.Row)
	if err != nil {
		return reply{}, err
	}
	if body == nil {
		return reply{}, sh.unborn(m, 0)
	}
	return reply{status: http.StatusOK, body: body}, nil
}

// cause prefers that the client has gone to what that has brought about.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// shown is a row as clients see it, nil if there is nothing to see.
func (sh resource[S]) shown(key string, row []byte) (any, error) {
	if row == nil {
		return nil, nil
	}
	head, state, err := sh.decode(row)
	if err != nil {
		return nil, fmt.Errorf("decoding the row of %q as it was: %w", key, err)
	}
	if !sh.known(state) {
		return nil, nil
	}
	return sh.show(key, head, state), nil
}

func (sh resource[S]) unborn(m moment, since int64) error {
	detail := fmt.Sprintf("There was no such %s at %s.", sh.what, showTime(m.at))
	if since > 0 {
		detail += fmt.Sprintf(" The first that was heard of it came at %s.", showTime(since))
	}
	return &fault{code: "not_found", detail: detail}
}

// looksBack returns the fault for an error of the history, nil if it is none.
func looksBack(err error) *fault {
	behind, expired, stopped := new(history.Behind), new(history.Expired), new(history.Stopped)
	switch {
	case errors.As(err, &behind):
		return &fault{code: "recovering", cause: err, header: later, detail: sentence(behind.Error())}
	case errors.As(err, &expired):
		return &fault{code: "history_expired", cause: err, detail: sentence(expired.Error())}
	case errors.As(err, &stopped):
		return &fault{code: "halted", cause: err, header: later, detail: sentence(stopped.Error())}
	case errors.Is(err, history.ErrNone):
		return &fault{code: "not_found", cause: err, detail: "No history is kept here, so nothing can be looked back on."}
	case errors.Is(err, history.ErrUnreachable):
		return &fault{code: "log_unreachable", cause: err, header: later, detail: sentence(history.ErrUnreachable.Error())}
	}
	return nil
}

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }
