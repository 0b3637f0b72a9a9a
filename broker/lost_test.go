package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A group that has committed more than its log has is named, with both offsets; one that is behind is not.
func TestALogIsShorterThanWhatIsCommitted(t *testing.T) {
	c := kafka(t, 1)
	ensure(t, c, 2, Topic{Name: "orders", Kind: Log}, Topic{Name: "parcels", Kind: Log})
	produce(t, c, "parcels", "a", "b")
	for group, at := range map[string]map[TopicPartition]int64{
		"order":    {{"orders", 0}: 0, {"orders", 1}: 4},
		"shipment": {{"parcels", Partition([]byte("key"), 2)}: 1},
	} {
		if err := c.Commit(t.Context(), group, at); err != nil {
			t.Fatal(err)
		}
	}
	logs := map[string]string{"order": "orders", "shipment": "parcels", "never-was": "orders"}
	err := CheckCommitted(t.Context(), c, logs)
	if !errors.Is(err, ErrCut) {
		t.Error("it is not said that a log was cut")
	}
	wantError(t, err, "the group order has committed offset 4 of orders/1, which ends at 0")
	delete(logs, "order")
	if err := CheckCommitted(t.Context(), c, logs); err != nil {
		t.Error(err)
	}
}

// A record that gets an offset which another had is not known to be there, and none after it is let in.
func TestALogThatIsCutTakesNothing(t *testing.T) {
	c := kafka(t, 1)
	ensure(t, c, 1, Topic{Name: "orders", Kind: Log})
	writer, err := c.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	at, now := TopicPartition{"orders", 0}, time.Now()
	u := writer.(*kafkaWriter).uptake
	for _, offset := range []int64{0, 1, -1, 5} {
		if err := u.enter(at, now); err != nil {
			t.Fatal(err)
		}
		if err := u.landed(at, offset); err != nil {
			t.Errorf("offset %d: %v", offset, err)
		}
		u.leave(at, nil, now)
	}
	if err := u.enter(at, now); err != nil {
		t.Fatal(err)
	}
	err = u.landed(at, 3)
	wantError(t, err, "orders/0 was cut: it has reached offset 5, and a later record got 3")
	u.leave(at, err, now)
	wantError(t, writer.Write(t.Context(), &kgo.Record{Topic: "orders"}), ErrUnreachable.Error(), "orders/0 was cut")
	if waits := writer.Waiting(); len(waits) != 1 {
		t.Errorf("it waits for %q", waits)
	}
}
