package torture

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/processors/notification"
	"stockflow/stand"
)

// moment is what a kill may fall into.
type moment string

const (
	inRecovery  moment = "recovery"
	outputToRow moment = "between output and row"
	rowToOffset moment = "between row and offset"
	inFlush     moment = "during a store flush"
	inShutdown  moment = "during shutdown"
	mailToNote  moment = "between a mail and its record"
)

var moments = []moment{inRecovery, outputToRow, rowToOffset, inFlush, inShutdown, mailToNote}

// evidence tells from what a kill has left on the disk what it fell into. It reads on from where it was after the last.
type evidence struct {
	data   string
	flush  *flushes
	relay  *stand.Relay
	logs   []*tail
	tables []*tail

	caused  map[source]map[int64]bool // messages with an output in a log, and not in a row
	taken   map[source]int64          // the last message that is in a row
	noted   map[string]bool           // e-mails whose outcome is in the log
	allowed map[string]int            // how often an e-mail may be taken again
}

// tableLogs are the logs that the tables are made from.
var tableLogs = map[string]string{
	processors.OrderTable: processors.OrderEvents, processors.InventoryTable: processors.InventoryEvents,
	processors.ShipmentTable: processors.ShipmentEvents, processors.NotificationTable: processors.NotificationEvents,
}

func newEvidence(t testing.TB, data string, r *stand.Relay) *evidence {
	e := &evidence{
		data: data, relay: r, flush: newFlushes(t), caused: map[source]map[int64]bool{}, taken: map[source]int64{},
		noted: map[string]bool{}, allowed: map[string]int{},
	}
	for p := range int32(partitions) {
		for _, log := range processors.Logs {
			e.logs = append(e.logs, newTail(data, log, p))
		}
		for table := range tableLogs {
			e.tables = append(e.tables, newTail(data, table, p))
		}
	}
	return e
}

// look looks at what the kill of a process has left, and returns what it fell into.
func (e *evidence) look(p *stand.Process) (met []moment, err error) {
	if err := e.read(); err != nil {
		return nil, err
	}
	offsets, err := committed(e.data)
	if err != nil {
		return nil, err
	}
	if stand.Was(p.Listening) && !stand.Was(p.Ready) {
		met = append(met, inRecovery)
	}
	if stand.Was(p.Stopping) && p.Killed() {
		met = append(met, inShutdown)
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(e.caused)), func(open map[int64]bool) bool { return len(open) > 0 }) {
		met = append(met, outputToRow)
	}
	for log, last := range e.taken {
		if last >= offsets[log] {
			met = append(met, rowToOffset)
			break
		}
	}
	if e.flush.underWay() {
		met = append(met, inFlush)
	}
	if e.fly() {
		met = append(met, mailToNote)
	}
	e.flush.reset()
	return met, nil
}

// read takes in what the logs and tables have got since the last time: all causes first, then what has become of them.
func (e *evidence) read() error {
	for _, log := range e.logs {
		if err := log.read(e.sawMessage); err != nil {
			return err
		}
	}
	for _, table := range e.tables {
		if err := table.read(e.sawRow); err != nil {
			return err
		}
	}
	return nil
}

func (e *evidence) sawMessage(r *kgo.Record) error {
	if o, err := codecs.ParseOrigin(header(r, codecs.HeaderOrigin)); err == nil {
		from := source{o.Log, o.Partition}
		if e.caused[from] == nil {
			e.caused[from] = map[int64]bool{}
		}
		if last, any := e.taken[from]; !any || o.Offset > last {
			e.caused[from][o.Offset] = true
		}
	}
	if r.Topic != processors.NotificationEvents {
		return nil
	}
	d, err := codecs.DecodeNotificationEvent(r.Value)
	if sent, ok := d.Event.(notification.Sent); ok {
		e.noted[messageID(string(r.Key), sent.Kind)] = true
	}
	return err
}

func (e *evidence) sawRow(r *kgo.Record) error {
	taken, err := codecs.DecodeTaken(header(r, codecs.HeaderTaken))
	from := source{tableLogs[r.Topic], r.Partition}
	for _, t := range taken {
		delete(e.caused[from], t.Offset)
		if last, any := e.taken[from]; !any || t.Offset > last {
			e.taken[from] = t.Offset
		}
	}
	return err
}

// fly finds out which e-mails were taken from the process that was killed, and not noted: each of them may be sent once more.
// It reports whether there are any.
func (e *evidence) fly() bool {
	flying := map[string]bool{}
	for _, id := range e.relay.Drain() {
		if !e.noted[id] && !flying[id] { // once for each life, however often it was sent in it
			flying[id] = true
			e.allowed[id]++
		}
	}
	return len(flying) > 0
}

// checkMails wants every e-mail of the ledger to have been taken, and none more often than is allowed.
func (e *evidence) checkMails(l *ledger, allowed func(id string) int) (repeats int) {
	counts := e.relay.Counts()
	for id := range l.letters {
		if counts[id] == 0 {
			l.addf("the e-mail %s was never sent", id)
		}
	}
	for id, n := range counts {
		repeats += n - 1
		if !l.letters[id] || n > 1+allowed(id) {
			l.addf("the e-mail %s was sent %d times, expected at most %d", id, n, 1+allowed(id))
		}
	}
	return repeats
}

// flushes is the file in which a process counts the batches that it writes to its stores: see engine/witness.go.
type flushes struct {
	file   string
	counts []byte
}

func newFlushes(t testing.TB) *flushes {
	t.Helper()
	f := &flushes{file: filepath.Join(t.TempDir(), "witness")}
	if err := os.WriteFile(f.file, make([]byte, os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(f.file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if f.counts, err = syscall.Mmap(int(file.Fd()), 0, 24, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(f.counts) })
	return f
}

// environment tells a process where to count.
func (f *flushes) environment() string { return "TORTURE_WITNESS=" + f.file }

// underWay reports whether more batches have begun than ended. While the process lives, it may be over by now.
func (f *flushes) underWay() bool {
	begun, ended := (*atomic.Uint64)(unsafe.Pointer(&f.counts[0])), (*atomic.Uint64)(unsafe.Pointer(&f.counts[8]))
	return begun.Load() > ended.Load()
}

// hold has the process wait before its next batch (1), or when that is written and before it says so (2), until it is
// killed.
func (f *flushes) hold(where uint64) { (*atomic.Uint64)(unsafe.Pointer(&f.counts[16])).Store(where) }

// reset is for when the process is dead.
func (f *flushes) reset() { clear(f.counts) }
