package mail

import (
	"context"
	"errors"
	"time"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/notification"
	"stockflow/processors"
	"stockflow/views"
)

// sendJob is one order whose e-mails are being sent, one after the other: nobody is told of a parcel before the order
// was confirmed. It is for one goroutine, but for changed.
type sendJob struct {
	sender  *Sender
	key     string
	changed chan struct{} // holds one token when the row may have changed

	stopping context.Context // ends when no more is to be begun
	lasting  context.Context // ends when what was begun is to be broken off

	kind     notification.Kind // of the e-mail that is tried
	round    int64
	attempts int // at it, in a row
}

// run sends whatever is queued until nothing is, or until it has to be put off.
func (e *sendJob) run() {
	for e.stopping.Err() == nil {
		row, err := e.row()
		if err != nil {
			e.sender.Log.Error("a row of the outbox can't be read", "order", e.key, "error", err)
			break
		}
		m, queued := firstQueued(row.State)
		if !queued || !e.sender.owns(e.key) {
			if e.leave() {
				return
			}
			continue
		}
		if !e.advance(m) {
			break
		}
	}
	e.sender.postpone(e.key)
}

// row returns the order's row, as soon as the table can be read.
func (e *sendJob) row() (views.Row[notification.State], error) {
	for {
		row, err := e.sender.Outbox.Get(e.key)
		if err == nil || !errors.As(err, new(*views.ErrRecovering)) {
			return row, err
		}
		if err := e.sender.Outbox.WaitRecovered(e.stopping); err != nil {
			return row, err
		}
	}
}

func firstQueued(s notification.State) (notification.Mail, bool) {
	for _, m := range s.Mails {
		if m.Status == notification.StatusQueued {
			return m, true
		}
	}
	return notification.Mail{}, false
}

// leave ends the errand, unless the row has changed since it was read.
func (e *sendJob) leave() bool {
	e.sender.mu.Lock()
	defer e.sender.mu.Unlock()
	select {
	case <-e.changed:
		return false
	default:
		delete(e.sender.hand, e.key)
		return true
	}
}

// advance tries an e-mail once and sees to what follows. It reports false when it is to be put off.
func (e *sendJob) advance(m notification.Mail) bool {
	if m.Kind != e.kind || m.Round != e.round {
		e.kind, e.round, e.attempts = m.Kind, m.Round, 0
	}
	e.attempts++
	offset, err := e.send(m)
	switch {
	case err == nil:
		return e.await(offset)
	case errors.Is(err, errNotOurs):
		return true // the row is looked at once more, and left
	case e.stopping.Err() != nil:
		return false
	}
	e.sender.metrics.attempts.WithLabelValues("deferred").Inc()
	if e.attempts == 1 || e.attempts == maxAttempts {
		e.sender.Log.Warn("an e-mail was not taken and will be tried again", "order", e.key, "kind", m.Kind.String(), "error", err)
	}
	return e.attempts < maxAttempts && e.pause(e.sender.Backoff(e.attempts))
}

// errNotOurs says that the partition went to another process while an e-mail waited for its turn.
var errNotOurs = errors.New("the partition has gone to another process")

// send hands an e-mail to the outlet, when it is its turn, and writes to the log what became of it. If the process
// dies in here, the e-mail may have been taken, and is sent once more by whoever reads the table next: so its turn
// lasts until the log has the outcome, and no more than maxFlights are in here. It returns the outcome's offset; the
// error is that of an e-mail which is still to be sent.
func (e *sendJob) send(m notification.Mail) (offset int64, err error) {
	select {
	case e.sender.sends <- struct{}{}:
	case <-e.stopping.Done():
		return 0, e.stopping.Err()
	}
	defer func() { <-e.sender.sends }()
	if !e.sender.owns(e.key) {
		return 0, errNotOurs
	}
	err = e.handOver(m)
	var refused *Refused
	switch {
	case err == nil:
		e.sender.metrics.attempts.WithLabelValues("taken").Inc()
		return e.report(notification.Sent{Kind: m.Kind, Round: m.Round, Attempts: int64(e.attempts)})
	case errors.As(err, &refused):
		e.sender.metrics.attempts.WithLabelValues("refused").Inc()
		e.sender.Log.Warn("an e-mail was refused for good", "order", e.key, "kind", m.Kind.String(), "reason", refused.Reason)
		return e.report(notification.Failed{Kind: m.Kind, Round: m.Round, Attempts: int64(e.attempts), Reason: refused.Reason})
	}
	return 0, err
}

// handOver writes an e-mail and gives it to the outlet. Its error, which goes into the log, doesn't hold the customer's address.
func (e *sendJob) handOver(m notification.Mail) error {
	letter, err := e.sender.Writer.Write(e.key, m)
	if err == nil {
		err = e.sender.Outlet.Send(e.lasting, letter)
	}
	return redactError(err, m.Email)
}

// pause reports false when the sender stops meanwhile.
func (e *sendJob) pause(d time.Duration) bool {
	select {
	case <-e.sender.After(d):
		return true
	case <-e.stopping.Done():
		return false
	}
}

// report writes an outcome to the log. One that is written twice counts once.
func (e *sendJob) report(outcome any) (offset int64, err error) {
	name, value := codecs.EncodeNotificationEvent(outcome)
	return e.write(engine.Output{Log: processors.NotificationEvents, Key: e.key, Type: name, Value: value, Event: outcome})
}

// write writes a message to the log, however often that takes.
func (e *sendJob) write(o engine.Output) (offset int64, err error) {
	for n := 1; ; n++ {
		at, err := e.sender.Emitter.Emit(e.lasting, o)
		if err == nil {
			return at.Offset, nil
		}
		e.sender.Log.Warn("what became of an e-mail could not be written", "order", e.key, "error", err)
		if !e.pause(e.sender.Backoff(n)) {
			return 0, err
		}
	}
}

// await waits until the row has taken in the outcome at offset: before, it says that the e-mail is queued, and it would
// be sent again. It reports false when the sender stops meanwhile.
func (e *sendJob) await(offset int64) bool {
	for {
		row, err := e.row()
		switch {
		case err != nil:
			if !e.pause(e.sender.Backoff(1)) {
				return false
			}
			continue
		case row.Head.Applied >= offset:
			return true
		}
		select {
		case <-e.changed:
		case <-e.stopping.Done():
			return false
		}
	}
}
