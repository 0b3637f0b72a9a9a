package views

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
)

func recordOf(key string, value []byte) *kgo.Record {
	return &kgo.Record{Key: []byte(key), Value: value}
}

// alone returns a watch on a table that nobody follows; the test tells it what happens.
func alone(key string) (*watches[string], *Watch[string]) {
	ws := &watches[string]{}
	w := newWatch(ws, key)
	return ws, w
}

func rowAt(applied int64, value string) Row[string] {
	return Row[string]{Head: codecs.Head{Applied: applied}, State: value, Found: true}
}

func TestADecisionIsFoundByTheOffsetOfItsMessage(t *testing.T) {
	ws, w := alone("lamp")
	defer w.Close()
	tellAll(ws.of("desk"), rowAt(9, "another key"), []codecs.Taken{{Offset: 4, Refusal: "not ours"}})
	tellAll(ws.of("lamp"), rowAt(3, "before"), []codecs.Taken{{Offset: 3}})
	tellAll(ws.of("lamp"), rowAt(5, "ours"), []codecs.Taken{{Offset: 4, Refusal: "below_zero"}, {Offset: 5}})
	d, err := w.Decision(t.Context(), 4)
	if err != nil || d.Refusal != "below_zero" || d.Row.State != "ours" {
		t.Errorf("the decision is %+v, %v; expected below_zero", d, err)
	}
}

// The wait must not end with the first change that comes, and not miss one that comes while it begins.
func TestADecisionIsWaitedForThroughOtherChanges(t *testing.T) {
	ws, w := alone("lamp")
	defer w.Close()
	go func() {
		for i := range int64(100) {
			tellAll(ws.of("lamp"), rowAt(i, fmt.Sprint(i)), []codecs.Taken{{Offset: i}})
		}
	}()
	d, err := w.Decision(within(t), 99)
	if err != nil || d.Row.State != "99" {
		t.Errorf("the decision is %+v, %v; expected that of 99", d, err)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	ws, w := alone("lamp")
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Decision(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Decision returned %v", err)
	}
	tellAll(ws.of("lamp"), rowAt(1, "on"), nil)
	row, err := w.Until(ctx, func(r Row[string]) bool { return r.State == "off" })
	if !errors.Is(err, context.Canceled) || row.State != "on" {
		t.Errorf("Until returned %+v, %v; expected the newest row", row, err)
	}
	row, err = w.Until(ctx, func(r Row[string]) bool { return r.State == "on" })
	if err != nil || row.State != "on" {
		t.Errorf("Until returned %+v, %v; a row that has come needs no wait", row, err)
	}
}

func TestASlowWatchStaysSmallAndLosesNothingItWaitsFor(t *testing.T) {
	ws, w := alone("lamp")
	defer w.Close()
	w.want(10_000)
	for i := range int64(3 * keepTaken) {
		tellAll(ws.of("lamp"), rowAt(i, ""), []codecs.Taken{{Offset: i, Refusal: "r"}})
	}
	if len(w.taken) > 1 {
		t.Errorf("it holds %d messages, expected the one it waits for", len(w.taken))
	}
	d, err := w.Decision(t.Context(), 10_000)
	if err != nil || d.Refusal != "r" {
		t.Errorf("the decision is %+v, %v", d, err)
	}
}

func TestAWatchSaysWhenADecisionWasOverrun(t *testing.T) {
	ws, w := alone("lamp")
	defer w.Close()
	for i := range int64(keepTaken + 10) {
		tellAll(ws.of("lamp"), rowAt(i, ""), []codecs.Taken{{Offset: i}})
	}
	if len(w.taken) > keepTaken {
		t.Errorf("it holds %d messages, expected %d", len(w.taken), keepTaken)
	}
	if _, err := w.Decision(t.Context(), 9); !errors.Is(err, ErrOverrun) {
		t.Errorf("the error is %v, expected ErrOverrun", err)
	}
}

func TestAClosedWatchIsForgotten(t *testing.T) {
	ws, w := alone("lamp")
	w.Close()
	w.Close()
	if len(ws.of("lamp")) != 0 || len(ws.byKey) != 0 {
		t.Errorf("the table still knows %v", ws.byKey)
	}
}

func TestOneOfManyWatchesIsClosed(t *testing.T) {
	ws, first := alone("lamp")
	second, third := newWatch(ws, "lamp"), newWatch(ws, "lamp")
	told := ws.of("lamp")
	second.Close()
	second.Close()
	tellAll(ws.of("lamp"), rowAt(1, "on"), nil)
	if got := first.newest().State + "," + second.newest().State + "," + third.newest().State; got != "on,,on" {
		t.Errorf("they were told %s", got)
	}
	if !slices.Equal(told, []*Watch[string]{first, second, third}) {
		t.Errorf("who was to be told has become %v", told)
	}
}

// BenchmarkHop is the time from when the owner has the changelog's word for a row to when whoever watches it is awake.
func BenchmarkHop(b *testing.B) {
	w := newWorld(b, 8)
	table, _ := w.running()
	var hops []time.Duration
	for i := int64(0); b.Loop(); i++ {
		key := fmt.Sprint("k", i)
		watch, err := table.Watch(key)
		must(b, err)
		w.write(key, thing{Applied: i}, codecs.Taken{Offset: i})
		start := time.Now()
		_, err = watch.Decision(b.Context(), i)
		must(b, err)
		hops = append(hops, time.Since(start))
		watch.Close()
	}
	slices.Sort(hops)
	b.ReportMetric(float64(hops[len(hops)/2].Microseconds())/1000, "ms/p50")
	b.ReportMetric(float64(hops[len(hops)*99/100].Microseconds())/1000, "ms/p99")
}
