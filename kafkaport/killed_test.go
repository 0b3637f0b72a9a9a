package kafkaport_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/cli"
	"stockflow/kafkaport"
	"stockflow/processors"
	"stockflow/stockflowtest"
)

func TestMain(m *testing.M) { stockflowtest.Main(m, cli.Main) }

// TestClientsOutliveAKilledStockflow: the whole program is killed twice while a client sends to it, and started again at the same address.
// The client goes on by itself, and what it sent stands in the log once, and in its order.
func TestClientsOutliveAKilledStockflow(t *testing.T) {
	if testing.Short() {
		t.Skip("programs of others, which make test-clients runs")
	}
	for _, f := range kafkaport.Foreigners() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			address, dir := freeAddress(t), t.TempDir()
			producer := f.Producer(t, address, processors.OrderEvents) // or the test is skipped
			p := serveOn(t, dir, address)
			in, err := producer.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			producer.Stderr = &said
			if err := producer.Start(); err != nil {
				t.Fatal(err)
			}
			var lines []string
			for i := range 10_000 {
				lines = append(lines, fmt.Sprintf("line %d", i))
			}
			written := make(chan error, 1)
			go func() {
				for _, line := range lines {
					if _, err := io.WriteString(in, line+"\n"); err != nil {
						written <- err
						return
					}
				}
				written <- in.Close()
			}()
			reached := int64(0)
			for range 2 {
				reached = awaitMore(t, address, min(reached, int64(len(lines))-1))
				p.Kill()
				p = serveOn(t, dir, address)
			}
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			if err := producer.Wait(); err != nil {
				t.Fatalf("it ends with %v, and says\n%s", err, said.String())
			}
			if got := valuesOf(t, address, int64(len(lines))); !slices.Equal(got, lines) {
				t.Errorf("%d lines were sent, the log has %d, or in another order", len(lines), len(got))
			}
			t.Logf("it was killed at up to %d of %d records", reached, len(lines))
		})
	}
}

// freeAddress is one that nobody listens on, for a program that has to come back to it.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func serveOn(t *testing.T, dir, address string) *stockflowtest.Process {
	t.Helper()
	p := stockflowtest.Spawn(t, nil, "serve", "--http", "127.0.0.1:0", "--data", dir, "--partitions", "1", "--kafka", address)
	if err := p.Await(p.Ready, "ready"); err != nil {
		t.Fatal(err)
	}
	return p
}

func newClient(t *testing.T, address string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(address))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// awaitMore waits until the log has more than it had, and returns how much that is.
func awaitMore(t *testing.T, address string, than int64) int64 {
	t.Helper()
	admin := kadm.NewClient(newClient(t, address))
	for end := time.Now().Add(stockflowtest.Generous); time.Now().Before(end); {
		ends, err := admin.ListEndOffsets(t.Context(), processors.OrderEvents)
		if err != nil {
			t.Fatal(err)
		}
		if o, found := ends.Lookup(processors.OrderEvents, 0); found && o.Offset > than {
			return o.Offset
		}
	}
	t.Fatalf("the log still has %d records", than)
	return 0
}

// valuesOf reads the log up to its end, and at least so many records.
func valuesOf(t *testing.T, address string, least int64) (values []string) {
	t.Helper()
	end := max(least, awaitMore(t, address, 0))
	client := newClient(t, address, kgo.ConsumeTopics(processors.OrderEvents), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for next := int64(0); next < end; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			values, next = append(values, string(r.Value)), r.Offset+1
		})
	}
	return values
}
