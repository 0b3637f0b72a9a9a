package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"stockflow/broker"
	"stockflow/deadletters"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/views"
)

// clerk is a redriver that does as it is told.
type clerk struct {
	sent deadletters.Sent
	err  error
	took deadletters.Options
}

func (c *clerk) Redrive(_ context.Context, _ views.DeadLetterID, o deadletters.Options) (deadletters.Sent, error) {
	c.took = o
	return c.sent, c.err
}

const redrivePath = "/v1/dead-letters/order-events%2F0%2F7/redrive"

// TestARedriveThatFailsSaysWhetherItWasSent.
func TestARedriveThatFailsSaysWhetherItWasSent(t *testing.T) {
	d := newDesk(t)
	c := &clerk{}
	d.redriver = c
	for _, test := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("sending: %w", engine.ErrUnknown), 503, "outcome_unknown"},
		{fmt.Errorf("sending: %w", engine.ErrUnreachable), 503, "log_unreachable"},
		{fmt.Errorf("sending: %w: %w", engine.ErrUnreachable, journal.ErrFull), 503, "disk_full"},
		{errors.New("the letters can't be read"), 503, "log_unreachable"},
		{&deadletters.Refusal{Why: deadletters.Unknown}, 404, "unknown_letter"},
		{&deadletters.Refusal{Why: deadletters.Redriven, Times: 3}, 409, "already_redriven"},
		{&deadletters.Refusal{Why: deadletters.Unfit, Cause: errors.New("quantity")}, 409, "still_unfit"},
		{&deadletters.Refusal{Why: deadletters.Halting, Cause: errors.New("rules")}, 409, "would_halt"},
	} {
		c.err = test.err
		w := d.send("POST", redrivePath, `{"again":2}`)
		wantProblem(t, w, test.status, test.code)
		if again := w.Header().Get("Retry-After") != ""; again != (test.status == 503) {
			t.Errorf("%v is answered with the header %s", test.err, w.Header())
		}
	}
	if c.took.Again != 2 {
		t.Errorf("it was asked for %+v", c.took)
	}
}

// TestARepairMayBeAsLargeAsALogTakes, and no larger.
func TestARepairMayBeAsLargeAsALogTakes(t *testing.T) {
	d := newDesk(t)
	c := &clerk{}
	d.redriver = c
	value := strings.Repeat("eHh4", broker.LargestMessage/3)
	if w := d.send("POST", redrivePath, `{"value":"`+value+`"}`); w.Code != 200 || len(c.took.Value) != broker.LargestMessage/3*3 {
		t.Errorf("a value of %d bytes is answered with %d %.300s", len(c.took.Value), w.Code, w.Body)
	}
	wantProblem(t, d.send("POST", redrivePath, `{"value":"`+strings.Repeat("x", maxRepair)+`"}`), 413, "body_too_large")
}
