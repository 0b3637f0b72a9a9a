package broker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestWhatIsRefusedIsNotAwaited: a write that is refused because no broker answers was not sent, so nothing will acknowledge it. Were it
// counted, its partition would take nothing for ever after.
func TestWhatIsRefusedIsNotAwaited(t *testing.T) {
	writer, err := Connection{Brokers: []string{"127.0.0.1:1"}}.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	w := writer.(*kafkaWriter)
	w.reach.learn(errors.New("connection refused"))
	if err := w.Write(context.Background(), &kgo.Record{Topic: "things", Partition: 1}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("without a broker a write ends with %v", err)
	}
	w.reach.learn(nil)
	if lines := w.uptake.waiting(time.Now().Add(time.Hour)); len(lines) > 0 {
		t.Errorf("the brokers are back, and it is said that %q", lines)
	}
	if err := w.uptake.enter(TopicPartition{"things", 1}, time.Now().Add(time.Hour)); err != nil {
		t.Errorf("the brokers are back, and a write is refused: %v", err)
	}
}
