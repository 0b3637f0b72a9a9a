package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"stockflow/processors"
	"stockflow/views"
)

// DeadLetter is a dead letter as clients see it, without its value.
type DeadLetter struct {
	ID        string `json:"id"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	At        string `json:"at"` // when its log took the message in
	Key       string `json:"key"`
	KeyBytes  []byte `json:"key_bytes,omitempty"` // in base64, of a key that is no text
	Event     string `json:"event,omitempty"`     // as far as it can be told
	Reason    string `json:"reason"`
	Size      int    `json:"size"`              // of the value, in bytes
	Redriven  int    `json:"redriven"`          // how often it was sent again
	Skipped   string `json:"skipped,omitempty"` // when it was asked for that its partition go on behind it
}

// ShowDeadLetter returns a letter as clients see it.
func ShowDeadLetter(l views.DeadLetter) DeadLetter {
	d := DeadLetter{
		ID: l.ID().String(), Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, At: showTime(l.At), Key: string(l.Key),
		Event: l.Event, Reason: l.Reason, Size: l.Size, Redriven: l.Redriven,
	}
	if l.Skip != nil {
		d.Skipped = showTime(l.Skip.Asked)
	}
	if !utf8.Valid(l.Key) {
		d.KeyBytes = l.Key
	}
	return d
}

// WholeDeadLetter is a dead letter with all that it holds.
type WholeDeadLetter struct {
	DeadLetter
	Headers []deadLetterHeader `json:"headers"`
	NoValue bool               `json:"no_value,omitempty"`
	Message json.RawMessage    `json:"message,omitempty"` // the value, if it is a message of its log
	Value   []byte             `json:"value,omitempty"`   // in base64
	Cut     *deadLetterCut     `json:"cut,omitempty"`
}

// deadLetterCut says what there was of a message that was too large: of key and value a letter has the beginning.
type deadLetterCut struct {
	Size    int64  `json:"size"`    // of the value, in bytes
	SHA256  string `json:"sha256"`  // of the value, in hex
	Headers int32  `json:"headers"` // that were left out
}

type deadLetterHeader struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Bytes []byte `json:"bytes,omitempty"` // in base64, of a value that is no text
}

// ShowWholeDeadLetter returns a letter with all that it holds.
func ShowWholeDeadLetter(l views.DeadLetter) WholeDeadLetter {
	w := WholeDeadLetter{DeadLetter: ShowDeadLetter(l), Headers: []deadLetterHeader{}, NoValue: l.NoValue, Value: l.Value}
	if c := l.Cut; c != nil {
		w.Cut = &deadLetterCut{c.Size, hex.EncodeToString(c.SHA256), c.Headers}
	}
	for _, h := range l.Headers {
		header := deadLetterHeader{Key: h.Key, Value: string(h.Value)}
		if !utf8.Valid(h.Value) {
			header.Bytes = h.Value
		}
		w.Headers = append(w.Headers, header)
	}
	if shown, err := processors.Show(l.Topic, l.Value); err == nil {
		w.Message, _ = shown.JSON() // without it there are still the bytes
	}
	return w
}

// deadLettersPage asks for a page of dead letters.
type deadLettersPage struct {
	listing[struct{}] // no table has them
	topic             string
	before            *views.DeadLetterPlace
}

func (s *Server) readDeadLetters(r *http.Request) (deadLettersPage, error) {
	q := readQuery(r, "topic")
	for _, name := range []string{"after", "wait"} {
		if q.given.Has(name) {
			q.wrong(name, "is not for dead letters; they are always as new as their log")
		}
	}
	p := deadLettersPage{topic: q.filter("topic")}
	if p.topic != "" && !slices.Contains(processors.Logs, p.topic) {
		q.wrong("topic", "must be one of "+strings.Join(processors.Logs, ", "))
	}
	var err error
	if p.listing, err = listed(s, q, views.Selection[struct{}]{}); err != nil || p.after == "" {
		return p, err
	}
	p.before, err = parsePlace(p.after)
	return p, err
}

// deadLettersTimeout is how long the log of dead letters is read for one answer. Only the first has to read all of it, and
// what was read by then is not read again.
const deadLettersTimeout = 20 * time.Second

// letters answers with dead letters, the newest first.
func (s *Server) letters(ctx context.Context, l deadLettersPage) (reply, error) {
	reading, cancel := s.waiting(ctx, deadLettersTimeout)
	defer cancel()
	found, more, err := s.tables.DeadLetters.Page(reading, l.topic, l.before, l.limit)
	if err != nil {
		return reply{}, unreadDeadLetters(ctx, err)
	}
	p := page{Items: make([]any, 0, len(found))}
	for _, letter := range found {
		p.Items = append(p.Items, ShowDeadLetter(letter))
	}
	if more && len(found) > 0 {
		p.Next = cursor{l.name, placeText(found[len(found)-1].Place())}.stamp(s.realm)
	}
	return reply{status: http.StatusOK, body: p}, nil
}

// unreadDeadLetters is the answer when the log could not be read; ctx is the client's.
func unreadDeadLetters(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &fault{
		code: "log_unreachable", cause: err, header: later,
		detail: "The dead letters could not be read in time. Try again later.",
	}
}

// placeText writes down the place that a page ended at, for its cursor.
func placeText(p views.DeadLetterPlace) string { return fmt.Sprintf("%d %s", p.At, p.ID) }

// parsePlace reads what placeText has written; a cursor says nothing else.
func parsePlace(text string) (*views.DeadLetterPlace, error) {
	at, name, _ := strings.Cut(text, " ")
	ms, err1 := strconv.ParseInt(at, 10, 64)
	id, err2 := views.ParseDeadLetterID(name)
	return &views.DeadLetterPlace{At: ms, ID: id}, errors.Join(err1, err2)
}
