package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"stockflow/codecs"
	"stockflow/deadletters"
	"stockflow/engine"
	"stockflow/views"
)

// Skipper has partitions go on behind messages that they have stopped at, as deadletters.Skipper does.
type Skipper interface {
	Request(ctx context.Context, id views.DeadLetterID) (done *views.DeadLetter, err error)
	Await(ctx context.Context, id views.DeadLetterID) (*views.DeadLetter, error)
}

// SkipAnswer says which message a partition was told to skip. It was skipped if there is a letter of it.
type SkipAnswer struct {
	ID        string      `json:"id"`
	Log       string      `json:"log"`
	Partition int32       `json:"partition"`
	Offset    int64       `json:"offset"`
	Letter    *DeadLetter `json:"letter,omitempty"`
}

// skipTimeout is how long an answer waits for the owner of the partition.
const skipTimeout = 5 * time.Second

func readSkip(r *http.Request) (views.DeadLetterID, error) {
	id := views.DeadLetterID{Topic: mux.Vars(r)["log"]}
	partition, pathErr := strconv.ParseInt(mux.Vars(r)["partition"], 10, 32)
	text, err := body(r)
	if err != nil {
		return id, err
	}
	id.Offset = -1
	bad, err := fill(text, fields{{"offset", whole(&id.Offset)}})
	if err != nil {
		return id, err
	}
	if pathErr != nil || partition < 0 {
		return id, &fault{code: "unknown_log", detail: "A partition is a number."}
	}
	if len(bad) == 0 && id.Offset < 0 {
		bad = append(bad, codecs.FieldError{Field: "offset", Problem: "must be 0 or more, and is needed"})
	}
	id.Partition = int32(partition)
	return id, bad.Err()
}

// skip has a partition go on behind a message.
func (s *Server) skip(ctx context.Context, id views.DeadLetterID) (reply, error) {
	reading, cancel := s.waiting(ctx, deadLettersTimeout)
	defer cancel()
	done, err := s.skipper.Request(reading, id)
	if err != nil {
		return reply{}, s.notSkipped(ctx, id, err)
	}
	answer := SkipAnswer{ID: id.String(), Log: id.Topic, Partition: id.Partition, Offset: id.Offset}
	if done == nil {
		s.log.Warn("a partition was told to skip a message", "log", id.Topic, "partition", id.Partition, "offset", id.Offset)
		awaiting, cancel := s.waiting(ctx, skipTimeout)
		defer cancel()
		if done, err = s.skipper.Await(awaiting, id); err != nil {
			s.log.Warn("it is not known whether a message was skipped", "log", id.Topic, "partition", id.Partition, "offset", id.Offset, "error", err)
		}
	}
	if done == nil {
		return reply{status: http.StatusAccepted, body: answer}, nil
	}
	letter := ShowDeadLetter(*done)
	answer.Letter = &letter
	return reply{status: http.StatusOK, body: answer}, nil
}

// notSkipped says why nothing was asked for.
func (s *Server) notSkipped(ctx context.Context, id views.DeadLetterID, err error) error {
	var notNext *deadletters.NotNext
	switch {
	case errors.As(err, &notNext):
		return &fault{code: "not_stopped", cause: err, detail: "Nothing was skipped. " + said(err)}
	case errors.Is(err, deadletters.ErrNoPartition):
		return &fault{code: "unknown_log", detail: fmt.Sprintf("There is no partition %d of a log %.100q.", id.Partition, id.Topic)}
	case errors.Is(err, engine.ErrUnknown):
		return unknown("Send the same request again: it counts once.", err)
	case errors.Is(err, engine.ErrUnreachable):
		s.unwritten.warn(s.log, "commands were not written", err)
		return err
	}
	return unreadDeadLetters(ctx, err)
}
