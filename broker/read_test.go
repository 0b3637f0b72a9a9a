package broker

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/stockflowtest/fake"
)

// TestAReaderWhoseBrokerIsGoneSaysSo: whoever reads a log of another process must not wait for ever when that is killed.
func TestAReaderWhoseBrokerIsGoneSaysSo(t *testing.T) {
	t.Parallel()
	cluster := fake.Open(t)
	c := Connection{Brokers: cluster.Brokers()}
	ensure(t, c, 1, Topic{"letters", Log})
	produce(t, c, "letters", "a")
	err := c.Read(t.Context(), "letters", 0, 0, 2, func(*kgo.Record) error {
		cluster.Close()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "letters/0: no broker answers") {
		t.Errorf("reading on ends with %v", err)
	}
}
