package api

import (
	"context"
	"errors"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/views"
)

// kind is what all problems of one code have in common.
type kind struct {
	status int
	title  string
}

// kinds is every problem that the API answers with, by its code. Codes are a contract: they don't change.
var kinds = map[string]kind{
	// What is wrong with a request.
	"bad_json":           {400, "The body is not a JSON object"},
	"invalid":            {400, "Fields of the request are not valid"},
	"unreadable":         {400, "The request could not be read"},
	"cross_origin":       {403, "The request comes from another site"},
	"not_found":          {404, "Not found"},
	"events_expired":     {410, "What came after this event is no longer known"},
	"history_expired":    {410, "What was then can't be folded any more"},
	"token_expired":      {410, "The token has expired"},
	"method_not_allowed": {405, "The path does not take this method"},
	"too_slow":           {408, "The request took too long to arrive"},
	"body_too_large":     {413, "The body is too large"},
	"not_json":           {415, "The body must be JSON"},
	"misdirected":        {421, "This is another server"},
	"rate_limited":       {429, "Too many requests from this client"},
	"headers_too_large":  {431, "The headers are too large"},

	// What is wrong with Stockflow or what it stands on.
	"busy":            {503, "Too much is going on at once"},
	"halted":          {503, "The log can't be folded that far"},
	"disk_full":       {503, "The disk is full"},
	"internal":        {500, "Something went wrong inside"},
	"log_unreachable": {503, "The log can't be reached"},
	"outcome_unknown": {503, "It is not known whether this was done"},
	"recovering":      {503, "This can't be read yet"},
	"not_yet":         {504, "The write can't be seen yet"},

	// What is wrong with sending a dead letter again.
	"unknown_letter":   {404, "There is no such dead letter"},
	"already_redriven": {409, "The dead letter was sent again before"},
	"still_unfit":      {409, "It would become a dead letter again"},
	"would_halt":       {409, "Its partition would stop at it"},
	"unknown_log":      {404, "There is no such partition of a log"},
	"not_stopped":      {409, "The partition has not stopped at that message"},

	// What the machines refuse, by their own names.
	"key_conflict":                      {409, "The Idempotency-Key was used for another order"},
	"refused":                           {409, "The command was refused"},
	order.RefusalIDConflict:             {409, "The id is known, with other content"},
	order.RefusalUnknownOrder:           {404, "There is no such order"},
	order.RefusalAlreadyShipped:         {409, "The order has been shipped"},
	order.RefusalRejected:               {409, "The order was rejected"},
	inventory.RefusalBelowZero:          {409, "There is less on hand than would be taken away"},
	inventory.RefusalBelowReserved:      {409, "Orders hold what would be taken away"},
	inventory.RefusalTooMany:            {409, "There would be more on hand than can be counted"},
	inventory.RefusalTooManyLocations:   {409, "The SKU would be at too many locations"},
	shipment.RefusalUnknownShipment:     {404, "There is no such shipment"},
	shipment.RefusalCancelled:           {409, "The shipment was cancelled"},
	shipment.RefusalNotDispatched:       {409, "The shipment has not been dispatched"},
	notification.RefusalUnknown:         {404, "There is no such e-mail"},
	notification.RefusalNotFailed:       {409, "The e-mail has not failed"},
	shipment.RefusalDispatchedOtherwise: {409, "The shipment was dispatched with another carrier or tracking number"},
}

// problem is the body of every answer that is not a success.
type problem struct {
	Type   string     `json:"type"`
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Code   string     `json:"code"`
	Detail string     `json:"detail,omitempty"`
	Errors []badField `json:"errors,omitempty"`
}

type badField struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

// fault is an error with a code of kinds.
type fault struct {
	code   string
	detail string // a sentence for people; it may be empty
	header headers
	cause  error // for the log of Stockflow alone
}

func (f *fault) Error() string { return f.code + ": " + f.detail }
func (f *fault) Unwrap() error { return f.cause }

// later asks a client to wait for a second before it tries again.
var later = headers{{"Retry-After", "1"}}

// faultOf finds the code for an error, from wherever it came. What has none is a fault of our own.
func faultOf(err error) *fault {
	var own *fault
	var recovering *views.ErrRecovering
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, new(codecs.Invalid)):
		return &fault{code: "invalid", cause: err, detail: "Nothing was done. Each bad field is named in errors."}
	case errors.As(err, &recovering):
		return &fault{
			code: "recovering", cause: err, header: later,
			detail: "Nothing was done. " + recovering.Error() + ".",
		}
	case errors.Is(err, engine.ErrUnreachable) && errors.Is(err, journal.ErrFull):
		return &fault{
			code: "disk_full", cause: err, header: later,
			detail: "Nothing was written. It goes on by itself when there is room on the disk again.",
		}
	case errors.Is(err, engine.ErrUnreachable):
		return &fault{
			code: "log_unreachable", cause: err, header: later,
			detail: "Nothing was written. Try again later.",
		}
	case errors.Is(err, context.Canceled):
		return &fault{code: "unreadable", detail: "The client went away.", cause: err}
	}
	if f := looksBack(err); f != nil {
		return f
	}
	return &fault{code: "internal", detail: "The cause is in the server's log.", cause: err}
}

// unknown is what is said of a write that may have been done or not; detail says how to find out.
func unknown(detail string, cause error) *fault {
	return &fault{code: "outcome_unknown", detail: detail, cause: cause, header: later}
}

// problem returns the body for a fault.
func (f *fault) problem() problem {
	k := kinds[f.code]
	p := problem{
		Type: "urn:stockflow:problem:" + f.code, Title: k.title, Status: k.status, Code: f.code, Detail: f.detail,
	}
	var invalid codecs.Invalid
	if errors.As(f.cause, &invalid) {
		for _, e := range invalid {
			p.Errors = append(p.Errors, badField{e.Field, e.Problem})
		}
	}
	return p
}

// refused is the answer to a command that its machine refused. A refusal without a kind comes from a machine that is
// newer than this table: still a refusal, and no success.
func refused(refusal string) error {
	if _, known := kinds[refusal]; known {
		return &fault{code: refusal, detail: "Nothing was changed."}
	}
	return &fault{code: "refused", detail: "Nothing was changed. The reason is " + refusal + "."}
}
