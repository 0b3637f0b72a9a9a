// Package deadletters is what is done about messages that no machine could take: they are sent again, repaired or as they
// are, and where a partition has stopped at one it is told to go on. The command line and the API both do it here, so that what the one sent is known to the other.
package deadletters

import (
	"context"
	"errors"
	"fmt"

	"stockflow/engine"
	"stockflow/processors"
	"stockflow/views"
)

// Options say how letters are sent again.
type Options struct {
	// Again is 0 for letters that were never sent again. A letter that was is sent to count once more: 1 for the first
	// time that it does, then 2. The same number counts once, however often it is used.
	Again int
	Value []byte // sent in place of the letter's value, if it isn't nil
	Force bool   // send also what would become a dead letter again
}

// Why is the kind of a refusal.
type Why int

// Why a letter is not sent again.
const (
	Unknown  Why = iota // there is no such letter
	Redriven            // it was sent again before, and Again is 0
	Unfit               // it would become a dead letter again, and there is no Force
	Halting             // its partition would stop at it
	Cut                 // only its beginning was kept, so a value has to be given
)

// Refusal says why nothing was sent.
type Refusal struct {
	Why
	DeadLetter views.DeadLetterID
	Times      int   // how often it was sent again before
	Cause      error // what no machine takes about it, for Unfit and Halting
}

// Error says it in words that name no flag and no field.
func (r *Refusal) Error() string {
	switch r.Why {
	case Unknown:
		return fmt.Sprintf("there is no dead letter %s", r.DeadLetter)
	case Redriven:
		return "it was sent again before"
	case Cut:
		return "only its beginning was kept, so another value must be given"
	case Halting:
		return "it would stop its partition: " + r.Cause.Error()
	default:
		return "it would become a dead letter again: " + r.Cause.Error()
	}
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Cause }

// Judge returns a *Refusal if a letter is not to be sent again. machine is whether only machines send what would be sent:
// then it is believed without the message that caused it.
func (o Options) Judge(l views.DeadLetter) (machine bool, err error) {
	refuse := func(why Why, cause error) (bool, error) {
		return false, &Refusal{Why: why, DeadLetter: l.ID(), Times: l.Redriven, Cause: cause}
	}
	if l.Redriven > 0 && o.Again == 0 {
		return refuse(Redriven, nil)
	}
	value := l.Value
	switch {
	case o.Value != nil:
		value = o.Value
	case l.Cut != nil:
		return refuse(Cut, nil)
	}
	in, err := processors.Read(l.Topic, engine.Record{Key: string(l.Key), Value: value, Redrive: []byte("any")})
	var unreadable *engine.Unreadable
	switch {
	case errors.As(err, &unreadable) && unreadable.Halt:
		return refuse(Halting, err)
	case err != nil && !o.Force:
		return refuse(Unfit, err)
	}
	return in.Emitted, nil
}

// Sent says where a letter is now.
type Sent struct {
	DeadLetter views.DeadLetter // Redriven is how often it was sent before
	ID         string           // in the header redrive: what has the same counts once
	At         engine.Position
}

// Redriver sends letters again. Its methods may be called at once; it sends for one caller after the other.
type Redriver struct {
	letters *views.DeadLetters
	engine  *engine.Redriver
	turn    chan struct{} // holds one token; whoever has taken it sends
}

// NewRedriver returns a redriver of letters, which writes with w. w is its caller's to close.
func NewRedriver(letters *views.DeadLetters, w *engine.Redriver) *Redriver {
	r := &Redriver{letters, w, make(chan struct{}, 1)}
	r.turn <- struct{}{}
	return r
}

// Redrive sends one letter again. Its error is a *Refusal, one of engine.Emitter.Emit's, that of ctx, or says why the
// letters can't be read. After engine.ErrUnknown it may be called again with the same options: the letter counts once. Once it
// sends it doesn't heed ctx, which would only leave the outcome unknown.
func (r *Redriver) Redrive(ctx context.Context, id views.DeadLetterID, o Options) (Sent, error) {
	leave, err := r.enter(ctx)
	if err != nil {
		return Sent{}, err
	}
	defer leave()
	var letter *views.DeadLetter
	err = r.letters.Walk(ctx, func(other views.DeadLetterID, _ int) bool { return other == id }, func(l views.DeadLetter) error {
		letter = &l
		return nil
	})
	if err != nil {
		return Sent{}, err
	}
	if letter == nil {
		return Sent{}, &Refusal{Why: Unknown, DeadLetter: id}
	}
	if _, err := o.Judge(*letter); err != nil {
		return Sent{}, err
	}
	return r.send(ctx, *letter, o)
}

// Send sends letters that were judged before, at most engine.MostRedriven of them, in their order. Those that somebody else has
// sent since they were read are left out. It ends with the first error, and returns what was sent before.
func (r *Redriver) Send(ctx context.Context, letters []views.DeadLetter, o Options) (sent []Sent, err error) {
	leave, err := r.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var places []views.DeadLetterPlace
	for _, l := range letters {
		places = append(places, l.Place())
	}
	times, err := r.letters.Redriven(ctx, places)
	if err != nil {
		return nil, err
	}
	for i, l := range letters {
		if err := ctx.Err(); err != nil {
			return sent, err
		}
		if times[i] != l.Redriven {
			continue
		}
		one, err := r.send(ctx, l, o)
		if err != nil {
			return sent, err
		}
		sent = append(sent, one)
	}
	return sent, nil
}

// enter waits for the turn.
func (r *Redriver) enter(ctx context.Context) (leave func(), err error) {
	select {
	case <-r.turn:
		return func() { r.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send sends a letter. The caller has the turn.
func (r *Redriver) send(ctx context.Context, l views.DeadLetter, o Options) (Sent, error) {
	id := processors.RedriveID(l.DeadLetter, o.Again)
	at, err := r.engine.Send(context.WithoutCancel(ctx), engine.Redrive{DeadLetter: l.DeadLetter, ID: id, Repaired: o.Value})
	return Sent{l, id, at}, err
}
