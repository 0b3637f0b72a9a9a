package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"stockflow/codecs"
	"stockflow/replay"
	"stockflow/replay/history"
)

// FoldedRow is a row with all there is in it, and which message it was made by.
type FoldedRow struct {
	Table     string          `json:"table"`
	Key       string          `json:"key"`
	Log       string          `json:"log"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"` // of the last message of the key up to then
	At        string          `json:"at"`     // the time of that
	Row       json.RawMessage `json:"row"`
}

// Folded is what is found in the history of a key of a machine's log, for people and programs.
func Folded(m replay.Machine, key string, found history.Moment) (FoldedRow, error) {
	text, err := m.Show(found.Row)
	return FoldedRow{m.Table, key, found.Log, found.Partition, found.Offset, showTime(found.At), text}, err
}

// folding asks for a row as its log makes it: up to a time, or up to an offset if that isn't -1.
type folding struct {
	machine    replay.Machine
	key        string
	at, offset int64
}

// wholeNumber is an offset.
var wholeNumber = regexp.MustCompile(`^[0-9]{1,18}$`)

func readFolding(r *http.Request) (folding, error) {
	f := folding{at: math.MaxInt64, offset: -1}
	machines, err := replay.Choose(mux.Vars(r)["table"])
	if err != nil {
		return f, &fault{code: "not_found", detail: "There is no such table."}
	}
	f.machine = machines[0]
	var bad codecs.Invalid
	var keyErr error
	f.key, keyErr = key(r, "key")
	q := r.URL.Query()
	for name := range q {
		if name == "after" || name == "wait" {
			bad = append(bad, codecs.FieldError{Field: name, Problem: "is not for rows as their log makes them; they are always as new as that"})
			continue
		}
		if name != "at" && name != "offset" || len(q[name]) > 1 || q.Has("at") && q.Has("offset") {
			bad = append(bad, codecs.FieldError{Field: name, Problem: "must be at or offset, one of them and once"})
		}
	}
	if len(bad) == 0 && q.Has("offset") {
		if f.offset, err = strconv.ParseInt(q.Get("offset"), 10, 64); err != nil || !wholeNumber.MatchString(q.Get("offset")) {
			bad = append(bad, codecs.FieldError{Field: "offset", Problem: "must be a whole number of at most 18 digits"})
		}
	}
	if len(bad) == 0 && q.Has("at") {
		at, problem := parseTime(q.Get("at"), time.Now())
		if f.at = at; problem != "" {
			bad = append(bad, codecs.FieldError{Field: "at", Problem: problem})
		}
	}
	return f, merge(nil, keyErr, bad.Err())
}

// folded answers with a row as its log makes it.
func (s *Server) folded(ctx context.Context, f folding) (reply, error) {
	looking, cancel := s.waiting(ctx, lookTimeout)
	defer cancel()
	found, err := s.found(looking, f)
	unborn, early, beyond := new(history.Unborn), new(history.BeforeLog), new(history.Beyond)
	switch {
	case errors.As(err, &unborn) || err == nil && found.Row == nil:
		return reply{}, &fault{code: "not_found", detail: "There was no such row by then."}
	case errors.As(err, &early):
		return reply{}, codecs.Invalid{{Field: "at", Problem: fmt.Sprintf("is before %s begins, which is at %s", early.Log, showTime(early.First))}}
	case errors.As(err, &beyond):
		return reply{}, codecs.Invalid{{Field: "offset", Problem: "is none of the log's: " + beyond.Error()}}
	case err != nil:
		return reply{}, cause(ctx, err)
	}
	row, err := Folded(f.machine, f.key, found)
	if err != nil {
		return reply{}, fmt.Errorf("decoding the row of %q as it was: %w", f.key, err)
	}
	return reply{status: http.StatusOK, body: row}, nil
}

func (s *Server) found(ctx context.Context, f folding) (history.Moment, error) {
	if f.offset >= 0 {
		return s.history.AtOffset(ctx, f.machine.Log, f.key, f.offset)
	}
	return s.history.At(ctx, f.machine.Log, f.key, f.at)
}
