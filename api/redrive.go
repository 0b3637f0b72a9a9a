package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/mux"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/deadletters"
	"stockflow/engine"
	"stockflow/views"
)

// Redriver sends dead letters again, as deadletters.Redriver does.
type Redriver interface {
	Redrive(ctx context.Context, id views.DeadLetterID, o deadletters.Options) (deadletters.Sent, error)
}

// RedriveRequest asks for a letter to be sent again. All of it may be left out.
type RedriveRequest struct {
	Again int             `json:"again,omitempty"` // to count once more: 1 for the first time that it does, then 2
	Value []byte          `json:"value,omitempty"` // in base64, to be sent in place of the letter's value
	JSON  json.RawMessage `json:"json,omitempty"`  // likewise, a message as JSON
	Force bool            `json:"force,omitempty"` // send also what would become a dead letter again
}

// RedriveAnswer says where a letter was sent.
type RedriveAnswer struct {
	ID        string `json:"id"`
	RedriveID string `json:"redrive_id"` // what has the same counts once
	Redriven  int    `json:"redriven"`   // how often the letter was sent again by now
	Log       string `json:"log"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// deadLettersPath is below which the letters are.
const deadLettersPath = "/v1/dead-letters/"

// maxRepair is how large the body of a redrive may be: a value as large as a log takes, in base64, and what is around it.
const maxRepair = broker.LargestMessage/3*4 + 4<<10

type redrive struct {
	id      views.DeadLetterID
	options deadletters.Options
}

func readRedrive(r *http.Request) (c redrive, err error) {
	id, idErr := readDeadLetterID(r)
	text, err := body(r)
	if err != nil {
		return c, err
	}
	var again int64
	var value, message []byte
	bad, err := fill(text, fields{
		{"again", whole(&again)}, {"value", base64Bytes(&value)}, {"json", rawObject(&message)}, {"force", truth(&c.options.Force)},
	})
	if err != nil {
		return c, err
	}
	c.id, c.options.Again, c.options.Value = id, int(again), value
	if message != nil {
		c.options.Value = message
	}
	return c, merge(bad, idErr, checkRedrive(again, value, message))
}

func checkRedrive(again int64, value, message []byte) error {
	var bad codecs.Invalid
	if again < 0 || again > 1_000_000 {
		bad = append(bad, codecs.FieldError{Field: "again", Problem: fmt.Sprintf("must be 0 to 1000000, is %d", again)})
	}
	if value != nil && message != nil {
		bad = append(bad, codecs.FieldError{Field: "json", Problem: "is not for a request that has a value"})
	}
	if value != nil && len(value) == 0 {
		bad = append(bad, codecs.FieldError{Field: "value", Problem: "is empty"})
	}
	return bad.Err()
}

// readDeadLetterID returns the id in the path, whose slashes are written %2F.
func readDeadLetterID(r *http.Request) (views.DeadLetterID, error) {
	text, err := url.PathUnescape(mux.Vars(r)["id"])
	if err != nil {
		return views.DeadLetterID{}, codecs.Invalid{{Field: "id", Problem: "is not written as a path wants it"}}
	}
	id, err := views.ParseDeadLetterID(text)
	if err != nil {
		return id, codecs.Invalid{{Field: "id", Problem: "must be LOG/PARTITION/OFFSET, with %2F for each slash"}}
	}
	return id, nil
}

// redrive sends a letter again.
func (s *Server) redrive(ctx context.Context, c redrive) (reply, error) {
	reading, cancel := s.waiting(ctx, deadLettersTimeout)
	defer cancel()
	sent, err := s.redriver.Redrive(reading, c.id, c.options)
	var refusal *deadletters.Refusal
	switch {
	case errors.As(err, &refusal):
		return reply{}, notRedriven(refusal)
	case errors.Is(err, engine.ErrUnknown):
		s.log.Warn("a dead letter was not acknowledged", "letter", c.id, "error", err)
		return reply{}, unknown("Send the same request again: the letter counts once.", err)
	case errors.Is(err, engine.ErrUnreachable):
		s.unwritten.warn(s.log, "commands were not written", err)
		return reply{}, err
	case err != nil:
		return reply{}, unreadDeadLetters(ctx, err)
	}
	s.land(ctx, engine.Output{Log: c.id.Topic, Key: string(sent.DeadLetter.Key)}, sent.At)
	s.log.Info("a dead letter was sent again", "letter", c.id, "redrive", sent.ID, "partition", sent.At.Partition, "offset", sent.At.Offset)
	return reply{status: http.StatusOK, body: RedriveAnswer{
		ID: c.id.String(), RedriveID: sent.ID, Redriven: sent.DeadLetter.Redriven + 1,
		Log: c.id.Topic, Partition: sent.At.Partition, Offset: sent.At.Offset,
	}}, nil
}

// notRedriven says why a letter was not sent again, and what to do about it.
func notRedriven(r *deadletters.Refusal) *fault {
	const nothing = "Nothing was sent. "
	switch r.Why {
	case deadletters.Unknown:
		return &fault{code: "unknown_letter", detail: nothing + "There is no such dead letter."}
	case deadletters.Redriven:
		return &fault{code: "already_redriven", detail: fmt.Sprintf(`%sIt was sent again before. "again": %d sends it once more, and it counts once more.`, nothing, r.Times)}
	case deadletters.Cut:
		return &fault{code: "still_unfit", cause: r, detail: nothing + `The message was too large, and only its beginning was kept. Send it with "value" or "json".`}
	case deadletters.Halting:
		return &fault{code: "would_halt", cause: r, detail: nothing + "No program of this version can take it: " + said(r.Cause)}
	default:
		return &fault{code: "still_unfit", cause: r, detail: nothing + `Repair it with "value" or "json", or send it nevertheless with "force". ` + said(r.Cause)}
	}
}

// said makes a sentence of an error.
func said(err error) string { return strings.TrimSuffix(err.Error(), ".") + "." }
