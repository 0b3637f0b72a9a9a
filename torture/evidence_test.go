package torture

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal/witness"
	"stockflow/machines/notification"
	"stockflow/processors"
	"stockflow/stockflowtest"
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
	inWrite     moment = "during a journal write"
	tornWrite   moment = "with half of a write"
	inSealing   moment = "during sealing"
	inPreparing moment = "while a file is prepared"
)

var moments = []moment{inRecovery, outputToRow, rowToOffset, inFlush, inShutdown, mailToNote, inWrite, tornWrite, inSealing, inPreparing}

// evidence tells from what a kill has left on the disk what it fell into. It reads on from where it was after the last.
type evidence struct {
	*complaints
	page   *witness.Page
	env    string // has a process write on the page
	relay  *stockflowtest.Relay
	logs   []*reader
	tables []*reader
	left   logs
	now    *reading // while it is looked at

	caused  map[source]map[int64]bool // messages with an output in a log, and not in a row
	taken   map[source]int64          // the last message that is in a row
	open    map[source]map[int64]bool // messages that are in no row, but for repeats
	last    map[channel]codecs.Origin // that has arrived
	noted   map[string]bool           // e-mails whose outcome is in the log
	allowed map[string]int            // how often an e-mail may be taken again
}

func newEvidence(t testing.TB, data string, r *stockflowtest.Relay) *evidence {
	t.Helper()
	file := filepath.Join(t.TempDir(), "witness")
	page, err := witness.Map(file)
	if err != nil {
		t.Fatal(err)
	}
	return &evidence{
		complaints: new(complaints), page: page, env: witness.Variable + "=" + file, relay: r,
		logs: readers(processors.Logs...), tables: readers(slices.Collect(maps.Keys(tableLogs))...), left: left(data),
		caused: map[source]map[int64]bool{}, taken: map[source]int64{}, open: map[source]map[int64]bool{},
		last: map[channel]codecs.Origin{}, noted: map[string]bool{}, allowed: map[string]int{},
	}
}

// look looks at what the kill of a process has left, and returns what it fell into. What is left must be a prefix of the one
// order of everything, or there are complaints.
func (e *evidence) look(ctx context.Context, p *stockflowtest.Process) (met []moment, err error) {
	if e.now, err = e.left(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.now.close()) }()
	if err := e.read(ctx); err != nil {
		return nil, err
	}
	committed, err := e.committed(ctx)
	if err != nil {
		return nil, err
	}
	e.wantCovered(committed)
	for m, fell := range map[moment]bool{
		inRecovery:  stockflowtest.Was(p.Listening) && !stockflowtest.Was(p.Ready),
		inShutdown:  stockflowtest.Was(p.Stopping) && p.Killed(),
		outputToRow: e.outputsWait(),
		rowToOffset: e.rowsWait(committed),
		mailToNote:  e.fly(),
		inFlush:     e.page.UnderWay(witness.Flush),
		inWrite:     e.page.UnderWay(witness.Write),
		tornWrite:   e.page.WaitsAt(witness.Write, witness.Inside),
		inSealing:   e.page.UnderWay(witness.Seal),
		inPreparing: e.page.UnderWay(witness.Prepare),
	} {
		if fell {
			met = append(met, m)
		}
	}
	slices.SortFunc(met, func(a, b moment) int { return slices.Index(moments, a) - slices.Index(moments, b) })
	e.page.Reset()
	return met, nil
}

// read takes in what the logs and tables have got since the last time: all causes first, then what has become of them.
func (e *evidence) read(ctx context.Context) error {
	for _, log := range e.logs {
		if err := log.read(ctx, e.now, e.sawMessage); err != nil {
			return err
		}
	}
	for _, table := range e.tables {
		if err := table.read(ctx, e.now, e.sawRow); err != nil {
			return err
		}
	}
	return nil
}

// committed returns how far the groups have committed.
func (e *evidence) committed(ctx context.Context) (map[source]int64, error) {
	all := map[source]int64{}
	if e.now.Broker == nil { // there is no journal yet
		return all, nil
	}
	for _, group := range groups {
		offsets, err := e.now.Committed(ctx, group)
		if err != nil {
			return nil, err
		}
		for at, offset := range offsets {
			all[source{at.Topic, at.Partition}] = offset
		}
	}
	return all, nil
}

// outputsWait reports whether a message has an output in a log, and no row.
func (e *evidence) outputsWait() bool {
	for _, open := range e.caused {
		if len(open) > 0 {
			return true
		}
	}
	return false
}

// rowsWait reports whether a message is in a row, and not committed.
func (e *evidence) rowsWait(committed map[source]int64) bool {
	for log, last := range e.taken {
		if last >= committed[log] {
			return true
		}
	}
	return false
}

// wantCovered wants every message that is committed to be in a row.
func (e *evidence) wantCovered(committed map[source]int64) {
	for log, end := range committed {
		if logEnd := e.end(log); end > logEnd {
			e.addf("%s/%d is committed up to %d, and ends at %d", log.log, log.partition, end, logEnd)
		}
		for offset := range e.open[log] {
			if offset < end {
				e.addf("%s/%d is committed up to %d, and no row has offset %d", log.log, log.partition, end, offset)
			}
		}
	}
}

func (e *evidence) end(log source) int64 {
	return e.now.ends[broker.TopicPartition{Topic: log.log, Partition: log.partition}]
}

func (e *evidence) sawMessage(r *kgo.Record) error {
	at := source{r.Topic, r.Partition}
	if o, err := codecs.ParseOrigin(header(r, codecs.HeaderOrigin)); err == nil {
		if e.cause(o); !e.arrive(o, at) {
			return nil
		}
	}
	if e.open[at] == nil {
		e.open[at] = map[int64]bool{}
	}
	e.open[at][r.Offset] = true
	if r.Topic != processors.NotificationEvents {
		return nil
	}
	d, err := codecs.DecodeNotificationEvent(r.Value)
	if sent, ok := d.Event.(notification.Sent); ok {
		e.noted[messageID(string(r.Key), sent.Kind)] = true
	}
	return err
}

// cause notes the message that an output comes from, which must be there.
func (e *evidence) cause(o codecs.Origin) {
	from := source{o.Log, o.Partition}
	if end := e.end(from); o.Offset >= end {
		e.addf("an output comes from offset %d of %s/%d, which ends at %d", o.Offset, o.Log, o.Partition, end)
	}
	if e.caused[from] == nil {
		e.caused[from] = map[int64]bool{}
	}
	if last, any := e.taken[from]; !any || o.Offset > last {
		e.caused[from][o.Offset] = true
	}
}

// arrive reports whether an output has come for the first time.
func (e *evidence) arrive(o codecs.Origin, at source) bool {
	way := channel{source{o.Log, o.Partition}, at}
	if last, any := e.last[way]; any && !after(o, last) {
		return false
	}
	e.last[way] = o
	return true
}

func (e *evidence) sawRow(r *kgo.Record) error {
	taken, err := codecs.DecodeTaken(header(r, codecs.HeaderTaken))
	from := source{tableLogs[r.Topic], r.Partition}
	for _, t := range taken {
		delete(e.caused[from], t.Offset)
		delete(e.open[from], t.Offset)
		if last, any := e.taken[from]; !any || t.Offset > last {
			e.taken[from] = t.Offset
		}
	}
	if end := e.end(from); len(taken) > 0 && e.taken[from] >= end {
		e.addf("a row of %s/%d took in offset %d of %s, which ends at %d", r.Topic, r.Partition, e.taken[from], from.log, end)
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
