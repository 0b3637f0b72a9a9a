package broker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// While there is too little room, nothing is written and nothing acknowledged; with room it goes on by itself.
func TestAFullDisk(t *testing.T) {
	var left atomic.Uint64
	left.Store(1 << 30)
	dir := t.TempDir()
	e := open(t, dir, space(func(string) (uint64, error) { return left.Load(), nil }))
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	produce(t, e.Connection(), "orders", "before")
	if err := e.Room(); err != nil {
		t.Error(err)
	}

	left.Store(reserve - 1)
	wantError(t, e.Room(), "full", "15 MiB left", "16 MiB are kept", filepath.Join(dir, "broker"))
	file := filepath.Join(dir, "broker", "partitions", "orders-0", "0.dat")
	before, _ := os.ReadFile(file)
	cl := client(t, e.Connection())
	acknowledged := make(chan error, 1)
	refused, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	cl.Produce(t.Context(), &kgo.Record{Topic: "orders", Key: []byte("key"), Value: []byte("meanwhile")}, func(_ *kgo.Record, err error) { acknowledged <- err })
	select {
	case err := <-acknowledged:
		t.Errorf("answered with %v", err)
	case <-refused.Done():
	}
	if after, _ := os.ReadFile(file); len(after) != len(before) {
		t.Error("something was written")
	}
	if _, err := admin(t, e.Connection()).CreateTopic(t.Context(), 1, 1, nil, "new"); err == nil {
		t.Error("a topic was made")
	}

	left.Store(reserve)
	select {
	case err := <-acknowledged:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(soon):
		t.Fatal("with room again, what waited is not acknowledged")
	}
	wantValues(t, e.Connection(), "orders", "before", "meanwhile")
}

// A write that fails is told, and nothing is acknowledged after it: the server would take a batch that is sent again for one
// that it has.
func TestAWriteThatFails(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e.Connection(), 1, Topic{"orders", Log}, Topic{"blocked", Log})
	produce(t, e.Connection(), "orders", "a")
	blocked := filepath.Join(dir, "broker", "partitions", "blocked-0")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil { // where the server wants a directory
		t.Fatal(err)
	}
	if err := produceOne(e.Connection(), "blocked", "b"); err == nil {
		t.Error("what could not be written was acknowledged")
	}
	var err error
	select {
	case err = <-e.Broken():
	case <-time.After(soon):
	}
	if !errors.Is(err, ErrWrite) {
		t.Errorf("broken with %v", err)
	}
	wantError(t, err, "blocked-0", "start again")
	if err := e.Room(); !errors.Is(err, ErrWrite) {
		t.Errorf("there is room: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := client(t, e.Connection()).ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("c")}).FirstErr(); err == nil {
		t.Error("something was acknowledged after a write had failed")
	}
	closeBroker(t, e)

	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	e = open(t, dir)
	produce(t, e.Connection(), "blocked", "b")
	wantValues(t, e.Connection(), "orders", "a")
	wantValues(t, e.Connection(), "blocked", "b")
}
