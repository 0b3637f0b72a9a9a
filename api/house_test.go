package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/cli"
	"stockflow/journal"
)

// hung is after how long something that is waited for doesn't come any more.
const hung = time.Minute

// house is a whole Stockflow in this process, on a journal.
type house struct {
	t      *testing.T
	server *cli.Server
	url    string
	client http.Client
}

func newHouse(t *testing.T, roles ...string) *house {
	t.Helper()
	t.Parallel()
	h, stop := settle(t, t.TempDir(), roles...)
	t.Cleanup(stop)
	return h
}

// settle starts a house in a directory, which is another's once it was stopped.
func settle(t *testing.T, dir string, roles ...string) (h *house, stop func()) {
	t.Helper()
	return settled(t, cli.Serve{Data: dir, Roles: roles})
}

// settled starts a house as it is configured.
func settled(t *testing.T, serve cli.Serve) (h *house, stop func()) {
	t.Helper()
	serve.HTTP, serve.Partitions = "127.0.0.1:0", partitions
	server, err := serve.Start(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop = func() {
		if err := server.Stop(); err != nil && !errors.Is(err, journal.ErrBroken) { // which a test may want
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), hung)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		stop()
		t.Fatalf("it is not ready, and waits for %q: %v", server.Waiting(), err)
	}
	return &house{t: t, server: server, url: "http://" + server.HTTPAddr()}, stop
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

// field returns a field of the body as text.
func (a answer) field(name string) string { return fmt.Sprint(a.json[name]) }

// send sends a request; headers are "Name: value".
func (h *house) send(method, path, body string, headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	got, err := h.client.Do(r)
	if err != nil {
		h.t.Error(err)
		return answer{}
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		h.t.Error(err)
	}
	a := answer{status: got.StatusCode, header: got.Header, text: string(text), json: map[string]any{}}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&a.json); err != nil {
		h.t.Errorf("%s %s is answered with %d %q: %v", method, path, a.status, text, err)
	}
	return a
}

// token says where a write went.
func (a answer) token() string { return a.header.Get("Stockflow-Token") }

// partitions are how many a house has.
const partitions = 4

// write puts a record into a log or a table, behind the back of the API.
func (h *house) write(topic, key string, value []byte) *kgo.Record {
	h.t.Helper()
	w, err := h.server.Broker().Writer()
	if err != nil {
		h.t.Fatal(err)
	}
	defer w.Close()
	r := &kgo.Record{Topic: topic, Partition: broker.Partition([]byte(key), partitions), Key: []byte(key), Value: value}
	if err := w.Write(h.t.Context(), r); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// until looks again and again until something is so. If it never is, the test fails with what was seen last.
func (h *house) until(look func() (so bool, saw string)) {
	h.t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.After(hung)
	for {
		so, saw := look()
		if so {
			return
		}
		select {
		case <-late:
			h.t.Errorf("after %s it is still %s", hung, saw)
			return
		case <-again.C:
		}
	}
}

// insist is send for what counts once however often it is sent: it is sent again while the answer is that the outcome is
// open, or not known. A client that doesn't say how long it would wait is told so after two seconds, and a machine that is busy
// with other things may take longer.
func (h *house) insist(status int, method, path, body string, headers ...string) (a answer) {
	h.t.Helper()
	h.until(func() (bool, string) {
		a = h.send(method, path, body, headers...)
		open := a.status == http.StatusAccepted || a.status == http.StatusServiceUnavailable
		return a.status == status || !open, fmt.Sprint(a.status, " ", a.text)
	})
	return a
}

// put sends what counts each time, for those who ask the log for it: it has it, whether or not it was decided quickly enough to be told.
func (h *house) put(path, body string) {
	h.t.Helper()
	if a := h.send("POST", path, body, "Prefer: wait=10"); a.token() == "" {
		h.t.Errorf("%s %s is answered with %d %s", path, body, a.status, a.text)
	}
}

// keys numbers what is sent with a key of its own.
var keys atomic.Int64

// want sends a request and fails the test unless the answer has the status and, in this order, name=value of fields. It
// insists on its outcome, so movements of stock, which count each time but for their keys, have one.
func (h *house) want(method, path, body string, status int, fields ...string) answer {
	h.t.Helper()
	headers := []string{"Prefer: wait=10"}
	if strings.HasSuffix(path, "/receipts") || strings.HasSuffix(path, "/adjustments") {
		headers = append(headers, fmt.Sprint("Idempotency-Key: want-", keys.Add(1)))
	}
	a := h.insist(status, method, path, body, headers...)
	if a.status != status {
		h.t.Errorf("%s %s %s is answered with %d %s, expected %d", method, path, body, a.status, a.text, status)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		if a.field(name) != value {
			h.t.Errorf("%s %s %s is answered with %s %s, expected %s", method, path, body, name, a.field(name), value)
		}
	}
	return a
}
