package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/views"
)

// resource is one table as clients see it.
type resource[S any] struct {
	table *views.Table[S]
	log   string       // that the table is the fold of
	path  string       // of its rows, up to the key
	what  string       // one of its rows, in a sentence
	known func(S) bool // whether there is anything to show
	show  func(key string, head codecs.Head, s S) any
	// decode reads a row as it lies in the table or in the history.
	decode func(row []byte) (codecs.Head, S, error)
}

// get answers with the row of key.
func (sh resource[S]) get(key string) (reply, error) {
	row, err := sh.table.Get(key)
	if err != nil {
		return reply{}, err
	}
	if !sh.known(row.State) {
		return reply{}, &fault{code: "not_found", detail: "There is no such " + sh.what + "."}
	}
	return reply{status: http.StatusOK, body: sh.show(key, row.Head, row.State)}, nil
}

// where is the path of a row.
func (sh resource[S]) where(key string) string { return sh.path + url.PathEscape(key) }

// command is a message for the machine that keeps a row.
type command struct {
	output engine.Output
	again  func(key string) string // how to find out whether it was done, if that is not known; a sentence or two
}

// output writes down an event for the log whose events encode knows.
func output(log, key string, event any, encode func(any) (string, []byte)) engine.Output {
	name, value := encode(event)
	return engine.Output{Log: log, Key: key, Type: name, Value: value}
}

// decisionTimeout is how long a client waits for a decision that it did not ask to wait for.
const decisionTimeout = 2 * time.Second

// judge tells from a row that has taken a command in whether its outcome is settled, and if it was refused after
// all, why.
type judge[S any] func(S) (settled bool, refusal string)

// once is the verdict on commands that are decided the moment the row takes them in.
func once[S any](S) (bool, string) { return true, "" }

// decide sends a command and answers with the machine's decision: the row, or why it was refused. When that takes
// longer than patience, it answers that the command was accepted. Nothing is sent while the table can't be read, for
// a refusal could not be told then.
func decide[S any](ctx context.Context, s *Server, sh resource[S], c command, v judge[S]) (reply, error) {
	watch, err := sh.table.Watch(c.output.Key)
	if err != nil {
		return reply{}, err
	}
	defer watch.Close()
	at, err := s.emit(ctx, c)
	if err != nil {
		return reply{}, err
	}
	ctx, cancel := s.waiting(ctx, decisionTimeout)
	defer cancel()
	row, err := settle(ctx, watch, at, v)
	switch {
	case errors.Is(err, errOpen):
		where := sh.where(c.output.Key)
		return reply{http.StatusAccepted, headers{{"Location", where}}, accepted{"accepted", where}}, nil
	case errors.Is(err, views.ErrOverrun):
		return reply{}, unknown(c.again(c.output.Key), err)
	case err != nil:
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: sh.show(c.output.Key, row.Head, row.State)}, nil
}

// accepted is the answer when the decision is still open.
type accepted struct {
	Status string `json:"status"`
	See    string `json:"see"` // where the outcome will show
}

// errOpen says that the time was over before the outcome was settled.
var errOpen = errors.New("the outcome is open")

// settle waits until the row has taken in the message at a position, and until its outcome is settled. The error is
// errOpen, views.ErrOverrun, or a *fault with the refusal.
func settle[S any](ctx context.Context, w *views.Watch[S], at engine.Position, v judge[S]) (views.Row[S], error) {
	d, err := w.Decision(ctx, at.Offset)
	if err != nil {
		return d.Row, open(err)
	}
	if d.Refusal != "" {
		return d.Row, refused(d.Refusal)
	}
	row, err := w.Until(ctx, func(r views.Row[S]) bool {
		settled, _ := v(r.State)
		return settled
	})
	if err != nil {
		return row, open(err)
	}
	if _, refusal := v(row.State); refusal != "" {
		return row, refused(refusal)
	}
	return row, nil
}

// open turns the end of a wait into errOpen.
func open(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errOpen
	}
	return err
}

// emit puts a command on its log.
func (s *Server) emit(ctx context.Context, c command) (engine.Position, error) {
	at, err := s.emitter.Emit(ctx, c.output, c.event(ctx)...)
	switch {
	case errors.Is(err, engine.ErrUnknown):
		s.logOf(c).Warn("a command was not acknowledged", "error", err)
		return at, unknown(c.again(c.output.Key), err)
	case err != nil:
		s.unwritten.warn(s.logOf(c), "commands were not written", err)
		return at, err
	}
	s.land(ctx, c.output, at)
	if s.log.Enabled(ctx, slog.LevelDebug) {
		s.logOf(c).Debug("a command was written", "partition", at.Partition, "offset", at.Offset)
	}
	return at, nil
}

// logOf returns a logger that names a command.
func (s *Server) logOf(c command) *slog.Logger {
	return s.log.With("log", c.output.Log, "key", c.output.Key, "type", c.output.Type)
}

// What the headers of all commands say; nobody changes it.
var (
	specVersion = []byte(codecs.SpecVersion)
	source      = []byte("/stockflow/api")
	contentType = []byte(codecs.ContentTypeProtobuf)
)

// event are the headers that make a command a CloudEvent. Nothing depends on them: its time is for information, and
// machines go by the log's.
func (c command) event(ctx context.Context) []codecs.Header {
	headers := append(make([]codecs.Header, 0, 7),
		codecs.Header{Key: codecs.HeaderSpecVersion, Value: specVersion},
		codecs.Header{Key: codecs.HeaderID, Value: []byte(randomID())},
		codecs.Header{Key: codecs.HeaderSource, Value: source},
		codecs.Header{Key: codecs.HeaderType, Value: []byte("stockflow." + c.output.Type)},
		codecs.Header{Key: codecs.HeaderTime, Value: time.Now().UTC().AppendFormat(nil, time.RFC3339Nano)},
		codecs.Header{Key: codecs.HeaderContentType, Value: contentType},
	)
	if l, ok := ctx.Value(writePositionKey{}).(*writePosition); ok && l.trace != "" {
		headers = append(headers, codecs.Header{Key: codecs.HeaderTraceParent, Value: []byte(l.trace)})
	}
	return headers
}

// rateLimitedLog warns of what may happen hundreds of times a second, as when no broker answers: of the first, and then every so often, with
// how many there were since.
type rateLimitedLog struct {
	sometimes rate.Sometimes
	more      atomic.Int64
}

func (s *rateLimitedLog) warn(log *slog.Logger, text string, err error) {
	s.more.Add(1)
	s.sometimes.Do(func() { log.Warn(text, "times", s.more.Swap(0), "error", err) })
}
