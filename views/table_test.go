package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/codecs"
)

func TestNothingIsAnsweredBeforeTheChangelogWasRead(t *testing.T) {
	w := newWorld(t, 4)
	w.write("lamp", thing{Applied: 3, Value: "on"})
	table := w.table()
	_, err := table.Get("lamp")
	wantRecovering(t, err, "its start")
	_, err = table.Watch("lamp")
	wantRecovering(t, err, "its start")

	w.run(table)
	w.recovered(table)
	w.expect(table, "lamp", "on")
	row, err := table.Get("desk")
	must(t, err)
	if row.Found {
		t.Errorf("a row that was never written is %+v", row)
	}
}

func TestATableWithoutTopicSaysWhatItWaitsFor(t *testing.T) {
	w := newWorld(t, 1)
	table := NewTable("chairs-table", decodeThing, w.conn, w.dir, slog.New(slog.DiscardHandler))
	obstacles := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // what Run does once, without its back-off
		obstacles <- table.follow(ctx).Error()
	}()
	select {
	case o := <-obstacles:
		if !strings.Contains(o, "chairs-table") {
			t.Errorf("the obstacle is %q, expected it to name the topic", o)
		}
	case <-within(t).Done():
		t.Fatal("a table without topic found no obstacle")
	}
}

func TestPartitionsThatAreNotReadAreNamed(t *testing.T) {
	w := newWorld(t, 2)
	table := w.table()
	table.begin(2, func(error) {})
	table.markRecovered(table.partitions[0])
	_, err := table.Get("lamp")
	wantRecovering(t, err, "[1] of 2")
	table.markRecovered(table.partitions[1])
	if !table.Recovered() {
		t.Error("a table with all partitions read is not recovered")
	}
}

func TestARowGivesWayOnlyToOneThatIsNotOlder(t *testing.T) {
	w := newWorld(t, 1)
	table, _ := w.running()
	steps := []struct {
		thing thing
		want  string
	}{
		{thing{0, 5, "first"}, "first"},
		{thing{0, 7, "newer"}, "newer"},
		{thing{0, 6, "a stale owner's"}, "newer"},
		{thing{0, 7, "written again"}, "written again"},
		{thing{1, 2, "rebuilt"}, "rebuilt"},
		{thing{0, 9, "damaged"}, "rebuilt"},
	}
	for i, step := range steps {
		watch := watch(t, table, "lamp")
		w.write("lamp", step.thing, codecs.Taken{Offset: int64(i)})
		d, err := watch.Decision(within(t), int64(i))
		must(t, err)
		if d.Row.State != step.want {
			t.Errorf("after %+v a watch is told %q, expected %q", step.thing, d.Row.State, step.want)
		}
		w.expect(table, "lamp", step.want)
	}
}

func TestARecordThatIsNoRowLeavesTheRowAndTheTableAlone(t *testing.T) {
	w := newWorld(t, 1)
	w.write("lamp", thing{Applied: 1, Value: "on"})
	w.append(things, recordOf("lamp", []byte("?")))
	table, _ := w.running()
	w.expect(table, "lamp", "on")
}

// A replay takes away rows that should not be, and what is older than that doesn't come back by itself.
func TestARecordWithoutARowTakesItAway(t *testing.T) {
	w := newWorld(t, 1)
	w.write("lamp", thing{Applied: 1, Value: "on"})
	w.write("desk", thing{Applied: 1, Value: "here"})
	w.append(things, recordOf("lamp", nil))
	table, stop := w.running()
	for range 2 { // and after a restart
		w.expect(table, "desk", "here")
		if row, err := table.Get("lamp"); err != nil || row.Found {
			t.Errorf("the row that was taken away is %+v, %v", row, err)
		}
		stop()
		table, stop = w.running()
	}
	stop()
}

func TestRowsOutliveTheProcess(t *testing.T) {
	w := newWorld(t, 4)
	for i := range 50 {
		w.write(fmt.Sprint("k", i), thing{Applied: int64(i), Value: fmt.Sprint("v", i)})
	}
	_, stop := w.running()
	stop()
	w.write("k7", thing{Applied: 99, Value: "later"})
	table, _ := w.running()
	w.expect(table, "k7", "later")
	w.expect(table, "k8", "v8")
}

// View.close races View.Get in goka, down to a panic.
func TestReadersMayRunWhileATableIsClosed(t *testing.T) {
	w := newWorld(t, 4)
	w.write("lamp", thing{Applied: 1, Value: "on"})
	table, stop := w.running()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				row, err := table.Get("lamp")
				if err != nil {
					wantRecovering(t, err, "its st")
					return
				}
				if row.State != "on" {
					t.Errorf("a reader got %+v", row)
				}
			}
		})
	}
	stop()
	readers.Wait()
}

func TestATableAnswersWhileTheBrokersAreAwayAndGoesOnAfterwards(t *testing.T) {
	w, kafka := newKafkaWorld(t, 2)
	road := &road{refused: make(chan struct{}, 1000)}
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets} {
		kafka.Cluster().ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
			kafka.Cluster().KeepControl()
			return road.pass(r)
		})
	}
	w.write("lamp", thing{Applied: 1, Value: "on"})
	table, _ := w.running()
	watch := watch(t, table, "lamp")

	road.closed.Store(true)
	w.write("lamp", thing{Applied: 2, Value: "off"}, codecs.Taken{Offset: 2})
	for range 12 { // more than the two tries that goka makes at once, and sarama's own of each
		select {
		case <-road.refused:
		case <-within(t).Done():
			t.Fatal("the table does not try again")
		}
	}
	row, err := table.Get("lamp")
	must(t, err)
	if !row.Found {
		t.Error("the row is gone")
	}
	road.closed.Store(false)
	_, err = watch.Decision(within(t), 2)
	must(t, err)
	w.expect(table, "lamp", "off")
}

// road leads those who read to Kafka. While it is closed, their connections break.
type road struct {
	closed  atomic.Bool
	refused chan struct{} // a token for each time that the ends of the changelog were asked for meanwhile
}

func (road *road) pass(r kmsg.Request) (kmsg.Response, error, bool) {
	if !road.closed.Load() {
		return nil, nil, false
	}
	if r.Key() == int16(kmsg.ListOffsets) {
		select {
		case road.refused <- struct{}{}:
		default: // enough of them
		}
	}
	return nil, errors.New("away"), true
}

func TestAStoreThatCanNotBeReadIsOpenedAgain(t *testing.T) {
	w := newWorld(t, 1)
	w.write("lamp", thing{Applied: 1, Value: "on"})
	table, _ := w.running()
	table.mu.Lock()
	table.partitions[0].Storage = unreadable{table.partitions[0].Storage}
	before := table.recovered
	table.mu.Unlock()

	_, err := table.Get("lamp")
	wantRecovering(t, err, "its store to be opened again")
	w.reopened(table, before)
	w.expect(table, "lamp", "on")
}

type unreadable struct{ storage.Storage }

var errDisk = errors.New("the disk is broken")

func (unreadable) Get(string) ([]byte, error) { return nil, errDisk }

func wantRecovering(t *testing.T, err error, waits string) {
	t.Helper()
	var recovering *ErrRecovering
	if !errors.As(err, &recovering) {
		t.Errorf("the error is %v, expected an ErrRecovering", err)
		return
	}
	if recovering.Table != things || !strings.Contains(recovering.Waits, waits) {
		t.Errorf("the error is %q, expected it to name %s and %q", err, things, waits)
	}
}
