package kafka

import (
	"testing"
	"time"
)

// A cluster starts, loses its leader and gets it back.
func TestThree(t *testing.T) {
	began := time.Now()
	c := Three(t)
	t.Logf("three brokers answer after %s", time.Since(began).Round(time.Second))
	conn := c.Connection()
	client, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := c.admin.CreateTopic(t.Context(), 4, 3, nil, "things"); err != nil {
		t.Fatal(err)
	}
	c.AwaitInSync()
	leader := c.Leader("things", 0)
	began = time.Now()
	leader.Kill()
	if next := c.Leader("things", 0); next == leader {
		t.Errorf("broker %d leads, which is dead", next.ID)
	}
	t.Logf("another broker leads after %s", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	leader.Start()
	c.AwaitInSync()
	t.Logf("all replicas are in sync %s after its start", time.Since(began).Round(time.Millisecond))
	c.Clear()
}

func TestWithZooKeeper(t *testing.T) {
	began := time.Now()
	WithZooKeeper(t)
	t.Logf("a broker with ZooKeeper answers after %s", time.Since(began).Round(time.Second))
}
