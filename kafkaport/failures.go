package kafkaport

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"stockflow/journal"
)

// refusal is an error of Kafka's, with what was wrong this time.
func refusal(as *kerr.Error, why string) error { return fmt.Errorf("%w: %s", as, why) }

// codes is the one table from what went wrong to what clients are told. What is RequestTimedOut may or may not have been
// carried out: clients try it again, and idempotent producers keep their sequences for it. What is KafkaStorageError was
// not, and is tried again too.
var codes = []struct {
	err  error
	code *kerr.Error
}{
	{journal.ErrFull, kerr.KafkaStorageError},
	{journal.ErrTooLarge, kerr.MessageTooLarge},
	{journal.ErrOutOfOrder, kerr.OutOfOrderSequenceNumber},
	{journal.ErrFenced, kerr.InvalidProducerEpoch},
	{journal.ErrUnknownProducer, kerr.UnknownProducerID},
	{journal.ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{journal.ErrOutOfRange, kerr.OffsetOutOfRange},
	{journal.ErrSilent, kerr.RequestTimedOut},
	{journal.ErrBroken, kerr.RequestTimedOut},
	{journal.ErrClosed, kerr.RequestTimedOut},
	{context.DeadlineExceeded, kerr.RequestTimedOut},
	{context.Canceled, kerr.RequestTimedOut},
}

// codeOf returns what a client is told of an error, 0 for none.
func codeOf(err error) int16 {
	if err == nil {
		return 0
	}
	if kafka, ok := errors.AsType[*kerr.Error](err); ok {
		return kafka.Code
	}
	if _, damaged := errors.AsType[*journal.DamageError](err); damaged {
		return kerr.KafkaStorageError.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code.Code
		}
	}
	return kerr.UnknownServerError.Code
}

// coordinatorCodeOf is codeOf for what a group's coordinator couldn't write down: clients look for the coordinator, and try
// it again.
func coordinatorCodeOf(err error) int16 {
	switch code := codeOf(err); code {
	case kerr.KafkaStorageError.Code, kerr.RequestTimedOut.Code:
		return kerr.CoordinatorNotAvailable.Code
	case kerr.MessageTooLarge.Code:
		return kerr.InvalidCommitOffsetSize.Code
	default:
		return code
	}
}

// textOf is what a client is told beside the code.
func textOf(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	return &text
}

// report logs what isn't the client's doing, at most once a second, as clients try again and again. That the disk is full
// or silent, the journal says itself.
func (s *Server) report(doing string, err error) {
	_, damaged := errors.AsType[*journal.DamageError](err)
	switch {
	case err == nil || s.ctx.Err() != nil:
	case damaged || codeOf(err) == kerr.UnknownServerError.Code:
		s.failures.Do(func() { s.log.Error(doing, "error", err) })
	case codeOf(err) == kerr.RequestTimedOut.Code || codeOf(err) == kerr.KafkaStorageError.Code:
		s.failures.Do(func() { s.log.Warn(doing, "error", err) })
	}
}
