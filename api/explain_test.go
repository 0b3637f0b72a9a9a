package api

import (
	"errors"
	"fmt"
	"testing"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/replay"
	"stockflow/replay/history"
)

// A full queue needs a thousand lines, so here the numbers are given.
func TestAFullQueueIsExplained(t *testing.T) {
	full := inventory.State{Known: true, Locations: []inventory.Stock{{Location: "main", OnHand: 9, Reserved: 2}}}
	for i := range inventory.MaxQueue {
		full.Queue = append(full.Queue, inventory.Waiting{OrderID: fmt.Sprint("o-", i), Quantity: 8})
	}
	step := history.Step{Step: replay.Step{
		Before: codecs.EncodeInventoryRow(codecs.Head{Applied: 4}, full),
		Outputs: []engine.Output{
			{Key: "somebody else's", Event: inventory.Reserved{}},
			{Key: "o-x", Event: inventory.Refused{SKU: "lamp", Reason: inventory.RefusalQueueFull, Available: 7}},
		},
	}}
	d, err := decisionOf("o-x", order.Line{SKU: "lamp", Quantity: 3}, step)
	if err != nil {
		t.Fatal(err)
	}
	want := "9 2 7 {1000 8000} refused queue_full 7996 a place in the queue, which had all its 1000 taken; to be served at once, 7996 units more available"
	if got := fmt.Sprint(d.OnHand, d.Reserved, d.Available, d.Waiting, " ", d.Answer, " ", d.Reason, " ", d.Short, " ", d.Enough); got != want {
		t.Errorf("it is explained as\n%s, expected\n%s", got, want)
	}
	if d, err := decisionOf("o-y", order.Line{}, step); d != nil || err != nil {
		t.Errorf("an order that was not answered is told %v, %v", d, err)
	}
}

// Of a SKU that was never received, a backorder may wait: what is received then is for it first.
func TestAnUnknownSKUThatOthersWaitForIsExplained(t *testing.T) {
	step := history.Step{Step: replay.Step{
		Before:  codecs.EncodeInventoryRow(codecs.Head{Applied: 4}, inventory.State{Queue: []inventory.Waiting{{OrderID: "o-1", Quantity: 5}}}),
		Outputs: []engine.Output{{Key: "o-2", Event: inventory.Refused{SKU: "lamp", Reason: inventory.RefusalUnknownSKU}}},
	}}
	d, err := decisionOf("o-2", order.Line{SKU: "lamp", Quantity: 2}, step)
	if err != nil {
		t.Fatal(err)
	}
	if want := "7 units more available: those who waited come first, with 5 units"; d.Short != 7 || d.Enough != want {
		t.Errorf("it is short of %d: %s; expected %s", d.Short, d.Enough, want)
	}
}

func TestErrorsOfTheHistoryAreTold(t *testing.T) {
	for _, test := range []struct {
		err    error
		code   string
		detail string
	}{
		{&history.Behind{}, "recovering", "The history can't be read yet: it waits for its start."},
		{&history.Behind{Log: "order-events", Partition: 3, Next: 5, End: 9}, "recovering",
			"The history of order-events/3 can't be read up to there yet: it is at offset 5 and waits for 9."},
		{&history.Expired{Log: "order-events", Partition: 3, Begin: 7}, "history_expired",
			"The log order-events/3 begins at offset 7: what was before has expired, so its rows can't be folded."},
		{&history.Stopped{Log: "order-events", Partition: 3, Offset: 7, Reason: "written under rules number 9"}, "halted",
			"Message order-events/3/7 can't be folded by this program: written under rules number 9."},
		{errors.Join(history.ErrUnreachable, errors.New("a cause")), "log_unreachable", "The broker can't be asked where its logs end."},
		{history.ErrNone, "not_found", "No history is kept here, so nothing can be looked back on."},
	} {
		if f := faultOf(fmt.Errorf("looking: %w", test.err)); f.code != test.code || f.detail != test.detail {
			t.Errorf("%v is told as %s: %s", test.err, f.code, f.detail)
		}
	}
}
