package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"stockflow/engine"
	"stockflow/processors"
	"stockflow/replay/history"
	"stockflow/views"
)

// A trail is what happened to a row: each message of its key, what became of it, what it changed, and what it caused.

// happening is one message of a trail.
type happening struct {
	Log       string        `json:"log"`
	Partition int32         `json:"partition"`
	Offset    int64         `json:"offset"`
	At        string        `json:"at"`
	Type      string        `json:"type"` // "" if it can't be told
	Verdict   string        `json:"verdict"`
	Refusal   string        `json:"refusal,omitempty"` // of a command that was taken in and refused
	Reason    string        `json:"reason,omitempty"`  // of a dead letter
	Origin    *origin       `json:"origin,omitempty"`  // what caused it; there is none if it came from outside
	Changed   []fieldChange `json:"changed"`
	Caused    []effect      `json:"caused"`
}

// origin says which message caused another, and which of its outputs that was.
type origin struct {
	Log       string `json:"log"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Index     int32  `json:"index"`
}

// effect is a message that was sent because of another.
type effect struct {
	Log       string `json:"log"`
	Key       string `json:"key"`
	Type      string `json:"type"`
	Origin    origin `json:"origin"`
	Partition *int32 `json:"partition,omitempty"` // where it landed; nowhere yet, if they aren't there
	Offset    *int64 `json:"offset,omitempty"`
}

// eventsRequest asks for a page of one.
type eventsRequest struct {
	listing[struct{}] // no table has them
	key               string
	behind            int64 // an offset
}

// readEventsRequest reads a question for the trail of the key that the path calls name.
func (s *Server) readEventsRequest(name string) func(*http.Request) (eventsRequest, error) {
	return func(r *http.Request) (eventsRequest, error) {
		id, idErr := key(r, name)
		q := readQuery(r)
		t := eventsRequest{key: id, behind: -1}
		var err error
		t.listing, err = listed(s, q, views.Selection[struct{}]{})
		if err := merge(nil, idErr, err); err != nil || t.after == "" {
			return t, err
		}
		t.behind, err = strconv.ParseInt(t.after, 10, 64) // a cursor says nothing else
		return t, err
	}
}

func (s *Server) orderEvents(ctx context.Context, t eventsRequest) (reply, error) {
	return trailOf(ctx, s, s.orders, t)
}

func (s *Server) inventoryEvents(ctx context.Context, t eventsRequest) (reply, error) {
	return trailOf(ctx, s, s.stocks, t)
}

// trailOf answers with a page of the trail of a row.
func trailOf[S any](ctx context.Context, s *Server, sh resource[S], t eventsRequest) (reply, error) {
	looking, cancel := s.waiting(ctx, lookTimeout)
	defer cancel()
	events, more, err := s.history.Events(looking, sh.log, t.key, t.behind, t.limit)
	switch {
	case err != nil:
		return reply{}, cause(ctx, err)
	case len(events) == 0 && t.behind < 0:
		return reply{}, &fault{code: "not_found", detail: fmt.Sprintf("No message was ever about such a %s.", sh.what)}
	}
	p := page{Items: make([]any, 0, len(events))}
	for _, e := range events {
		item, err := sh.happened(t.key, e)
		if err != nil {
			return reply{}, err
		}
		p.Items = append(p.Items, item)
	}
	if more {
		p.Next = cursor{t.name, strconv.FormatInt(events[len(events)-1].Offset, 10)}.stamp(s.realm)
	}
	return reply{status: http.StatusOK, body: p}, nil
}

// verdicts are what a message can come to, as clients are told it.
var verdicts = map[engine.Disposition]string{engine.Applied: "taken", engine.Repeat: "repeat", engine.DeadLettered: "dead_letter"}

// happened shows what a message did.
func (sh resource[S]) happened(key string, e history.Event) (happening, error) {
	h := happening{
		Log: e.Log, Partition: e.Partition, Offset: e.Offset, At: showTime(e.At), Type: typeOf(e),
		Verdict: verdicts[e.Disposition], Refusal: e.Refusal, Reason: e.Reason, Changed: []fieldChange{}, Caused: []effect{},
	}
	if e.Origin != nil {
		h.Origin = &origin{e.Origin.Log, e.Origin.Partition, e.Origin.Offset, e.Origin.Index}
	}
	for i, o := range e.Caused {
		sent := effect{Log: o.Log, Key: o.Key, Type: o.Type, Origin: origin{e.Log, e.Partition, e.Offset, int32(i)}}
		if o.Offset >= 0 {
			sent.Partition, sent.Offset = &o.Partition, &o.Offset
		}
		h.Caused = append(h.Caused, sent)
	}
	before, err1 := sh.shown(key, e.Before)
	after, err2 := sh.shown(key, e.After)
	if err := errors.Join(err1, err2); err != nil {
		return h, err
	}
	h.Changed = append(h.Changed, changes(before, after)...)
	return h, nil
}

// typeOf returns which event a message is, as far as that can be told of one that no machine could take.
func typeOf(e history.Event) string {
	if e.Type != "" {
		return e.Type
	}
	shown, err := processors.Show(e.Log, e.Value)
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(shown.Event, "\uFFFD")
}
