package views

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/order"
	"stockflow/processors"
)

// still returns tables that can be read and follow nothing: the test tells them what happens.
func still(t *testing.T) *Tables {
	t.Helper()
	w := newWorld(t, 1)
	tables := Open(w.conn, w.dir, slog.New(slog.DiscardHandler))
	readable(tables.Orders)
	readable(tables.Inventory)
	readable(tables.Shipments)
	return tables
}

func readable[S any](table *Table[S]) {
	table.begin(2, func(error) {})
	for _, p := range table.partitions {
		p.Storage = &inMap{values: map[string][]byte{}}
		table.markRecovered(p)
	}
}

// takes has a table take in messages, with a row that says so and a header unless that is lost.
func takes[S any](t *testing.T, table *Table[S], key string, headerLost bool, taken ...codecs.Taken) {
	t.Helper()
	var head codecs.Head
	for _, m := range taken {
		head.Applied = m.Offset
		if m.Origin != nil {
			head.Seen = append(head.Seen, *m.Origin)
		}
	}
	p := broker.Partition([]byte(key), 2)
	r := &entry{partition: p, offset: head.Applied, taken: codecs.EncodeTaken(taken)}
	if headerLost {
		r.taken = nil
	}
	must(t, table.takeIn(r, table.partitions[p], key, codecs.EncodeOrderRow(head, order.State{})))
}

// over is a context that has ended, so that what is not there is not waited for.
func over(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func wantLagging(t *testing.T, err error, text string) {
	t.Helper()
	var lagging *Lagging
	if !errors.As(err, &lagging) || !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %v, expected a Lagging with %q", err, text)
	}
}

// An order asks for two SKUs. Its write is followed to what each of them made of it, whichever table is read first.
func TestAWriteIsFollowedToAllThatCameOfIt(t *testing.T) {
	tables, p := still(t), broker.Partition([]byte("o-1"), 2)
	follow := func(target string) error {
		return tables.Follow(over(t), processors.OrderEvents, p, 7, "o-1", target)
	}
	output := func(index int32) *codecs.Origin {
		return &codecs.Origin{Log: processors.OrderEvents, Partition: p, Offset: 7, Index: index}
	}
	takes(t, tables.Inventory, "lamp", false, codecs.Taken{Offset: 30, Origin: output(1)})
	wantLagging(t, follow(processors.InventoryEvents), fmt.Sprintf("the write itself, order-events/%d/7,", p))

	takes(t, tables.Orders, "o-1", false, codecs.Taken{Offset: 7, Sent: []codecs.Sent{
		{Log: processors.InventoryEvents, Key: "desk"}, {Log: processors.InventoryEvents, Key: "lamp"}}})
	wantLagging(t, follow(processors.InventoryEvents), fmt.Sprintf("inventory-events has not taken in what message order-events/%d/7 caused", p))

	back := codecs.Sent{Log: processors.OrderEvents, Key: "o-1"}
	takes(t, tables.Inventory, "desk", false, codecs.Taken{Offset: 31}, codecs.Taken{Offset: 32, Origin: output(0), Sent: []codecs.Sent{back}})
	wantLagging(t, follow(processors.InventoryEvents), "order-events has not taken in what message inventory-events/")

	desk := codecs.Origin{Log: processors.InventoryEvents, Partition: broker.Partition([]byte("desk"), 2), Offset: 32}
	takes(t, tables.Orders, "o-1", false, codecs.Taken{Offset: 8, Origin: &desk})
	must(t, follow(processors.InventoryEvents))
	must(t, follow(processors.OrderEvents))
}

func TestAWriteWhoseRowIsOlderThanTheProcessHasExpired(t *testing.T) {
	tables := still(t)
	takes(t, tables.Orders, "o-1", true, codecs.Taken{Offset: 7})
	p := broker.Partition([]byte("o-1"), 2)
	if err := tables.Follow(t.Context(), processors.OrderEvents, p, 7, "o-1", processors.OrderEvents); !errors.Is(err, ErrExpired) {
		t.Errorf("the error is %v, expected ErrExpired", err)
	}
}

// A wait ends when the row comes; and a row without a header, as its owner writes it again, ends the wait of those who then
// can't be told.
func TestAWaitEndsWithTheRowThatItIsFor(t *testing.T) {
	for _, headerLost := range []bool{false, true} {
		tables, p := still(t), broker.Partition([]byte("o-1"), 2)
		table, known := tables.Orders, tables.Orders.effects[p]
		done := make(chan error)
		go func() { done <- tables.Follow(within(t), processors.OrderEvents, p, 7, "o-1", processors.OrderEvents) }()
		untilWaitedFor(known)
		takes(t, table, "o-1", false, codecs.Taken{Offset: 6})
		untilWaitedFor(known)
		takes(t, table, "o-1", headerLost, codecs.Taken{Offset: 7})
		if err := <-done; errors.Is(err, ErrExpired) != headerLost || !headerLost && err != nil {
			t.Errorf("with the header lost %t, the wait ends with %v", headerLost, err)
		}
		if len(known.waiting) > 0 {
			t.Errorf("it still holds %v", known.waiting)
		}
	}
}

// untilWaitedFor returns when somebody waits for a row.
func untilWaitedFor(e *effects) {
	for waits := 0; waits == 0; runtime.Gosched() {
		e.mu.Lock()
		waits = len(e.waiting)
		e.mu.Unlock()
	}
}

// What is remembered is bounded, whatever its size, and the newest is always there.
func TestTheOldestIsForgotten(t *testing.T) {
	e := &effects{most: 4 * pageSize}
	const n = 1000
	var written int
	for i := range n {
		header := bytes.Repeat([]byte{byte(i)}, i%7*pageSize/20)
		if i%100 == 99 {
			header = make([]byte, 5*pageSize) // an order of many lines
		}
		must(t, e.place(fmt.Sprint("k", i), int64(i), header, func() error { return nil }))
		written += len(header)
		size := 0
		for _, page := range e.pages {
			size += cap(page)
		}
		if size != e.size || size > e.most && len(e.pages) > 1 {
			t.Fatalf("after %d records it holds %d pages with %d bytes, and says %d", i, len(e.pages), size, e.size)
		}
		found := 0
		for r := range e.pages.of(fmt.Sprint("k", i)) {
			found += len(r.taken) + 1
		}
		if found != len(header)+1 {
			t.Fatalf("of record %d it remembers %d bytes, expected %d", i, found-1, len(header))
		}
	}
	for range e.pages.of("k0") {
		t.Error("the first record is still there")
	}
	if written < 10*e.most {
		t.Errorf("%d bytes are no test", written)
	}
}

// Nobody sees a row without what went into it, and no wait is missed.
func TestNobodySeesARowWithoutItsEffect(t *testing.T) {
	e := newEffects(1)[0]
	must(t, e.place("k", 0, nil, func() error {
		if e.mu.TryLock() {
			e.mu.Unlock()
			t.Error("a row is in its place before what went into it can be")
		}
		return nil
	}))

	const n, readers = 2000, 4
	tables, p := still(t), broker.Partition([]byte("o-1"), 2)
	var running sync.WaitGroup
	for range readers {
		running.Go(func() {
			for i := range int64(n) {
				if err := tables.Follow(within(t), processors.OrderEvents, p, i, "o-1", processors.OrderEvents); err != nil {
					t.Errorf("following message %d: %v", i, err)
					return
				}
			}
		})
	}
	for i := range int64(n) {
		takes(t, tables.Orders, "o-1", false, codecs.Taken{Offset: i})
	}
	running.Wait()
}
