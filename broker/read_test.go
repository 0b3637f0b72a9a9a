package broker

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestAReaderWhoseBrokerIsGoneSaysSo: whoever reads a log of another process must not wait for ever when that is killed.
func TestAReaderWhoseBrokerIsGoneSaysSo(t *testing.T) {
	t.Parallel()
	b, err := OpenEmbedded(t.TempDir(), Unsynced(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	topic := Topic{Name: "letters", Kind: Log}
	if _, _, err := Ensure(t.Context(), b.Connection(), []Topic{topic}, 1); err != nil {
		t.Fatal(err)
	}
	client, err := b.Connection().Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic.Name, Value: []byte("a")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	err = Read(t.Context(), b.Connection(), topic.Name, 0, 0, 2, func(*kgo.Record) error { return b.Close() })
	if err == nil || !strings.Contains(err.Error(), "letters/0: no broker answers") {
		t.Errorf("reading on ends with %v", err)
	}
}
