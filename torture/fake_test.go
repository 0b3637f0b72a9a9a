package torture

import (
	"fmt"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"stockflow/broker"
	"stockflow/cli"
	"stockflow/stockflowtest"
	"stockflow/stockflowtest/fake"
)

func TestMain(m *testing.M) { stockflowtest.Main(m, program) }

// asKafka as the first argument makes a process a Kafka instead of a Stockflow.
const asKafka = "fake-kafka"

// program is what the processes are that are spawned here.
func program() {
	if len(os.Args) == 3 && os.Args[1] == asKafka {
		serveKafka(os.Args[2])
		return
	}
	cli.Main()
}

// serveKafka is a Kafka of one broker, whose files are in a directory, until the process ends. It says where it is as a Stockflow
// does. As each write is synced, an acknowledgement takes as long as from a disk.
func serveKafka(dir string) {
	k, err := fake.Start(kfake.DataDir(dir), kfake.SyncWrites())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("kafka   %s\nhttp    none\n", k.Brokers()[0])
	select {}
}

// fakeKafka starts one, which is there until the test ends, and returns how to reach it. Where there are two owners of a partition
// there must be a Kafka; this one needs nothing but Go.
func fakeKafka(t testing.TB) broker.Connection {
	t.Helper()
	p := stockflowtest.Spawn(t, nil, asKafka, t.TempDir())
	if err := p.Await(p.Listening, "listening"); err != nil {
		t.Fatal(err)
	}
	return connectionTo(p)
}
