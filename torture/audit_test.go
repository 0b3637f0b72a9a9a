package torture

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/processors"
	"stockflow/replay"
)

// audit folds the logs again, and holds against that what else there is. It may be killed and forgotten: it changes
// nothing.
type audit struct {
	logs logs
	from *reading // while it runs
	ctx  context.Context
	*complaints
	chains   map[channel]*chain
	messages int64 // in the logs of the machines
	repeats  int64 // of them dropped, as their rows had them
	records  int64 // in the changelogs
	stale    int64 // of them older than the one before them of their key
	ledger   *ledger
}

// complaints are what was found wrong. The first of them are enough.
type complaints struct {
	n     int
	texts []string
}

const enough = 20

func (c *complaints) addf(format string, args ...any) {
	if c.n++; c.n <= enough {
		c.texts = append(c.texts, fmt.Sprintf(format, args...))
	}
}

// add takes over what others found.
func (c *complaints) add(more *complaints) {
	for _, text := range more.texts {
		c.addf("%s", text)
	}
}

// channel is the way from a partition of one log to a partition of another.
type channel struct{ from, to source }

// chain is what went a way, in its order: once as the fold sends it, once as it has arrived.
type chain struct {
	sent, came link
	last       codecs.Origin // that has arrived
}

// link is how many messages there were, and a checksum over all of them.
type link struct {
	n   int64
	sum uint64
}

func (l *link) add(o codecs.Origin, key, value []byte) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %d %q ", l.sum, o.Offset, o.Index, key)
	_, _ = h.Write(value) // it never fails
	l.n, l.sum = l.n+1, h.Sum64()
}

func newAudit(ctx context.Context, from logs) *audit {
	c := new(complaints)
	return &audit{logs: from, ctx: ctx, complaints: c, chains: map[channel]*chain{}, ledger: newLedger(c)}
}

// run audits what servers have left that have come to rest.
func (a *audit) run() {
	var err error
	if a.from, err = a.logs(a.ctx); err != nil {
		a.addf("the logs can't be opened: %v", err)
		return
	}
	defer func() {
		if err := a.from.close(); err != nil {
			a.addf("the logs can't be closed: %v", err)
		}
	}()
	for p := range int32(partitions) {
		auditPartition(a, processors.Order(nil), p, a.ledger.sawOrder, a.ledger.addOrder)
		auditPartition(a, processors.Inventory(nil), p, a.ledger.sawStock, a.ledger.addStock)
		auditPartition(a, processors.Shipment(nil), p, a.ledger.sawParcel, a.ledger.addParcel)
		auditPartition(a, processors.Notification(nil), p, a.ledger.sawMail, a.ledger.addMails)
		a.noLetters(p)
	}
	for way, c := range a.chains {
		if c.sent != c.came {
			a.addf("from %s/%d to %s/%d the fold sends %d messages, and %d have come (checksums %x, %x)",
				way.from.log, way.from.partition, way.to.log, way.to.partition, c.sent.n, c.came.n, c.sent.sum, c.came.sum)
		}
	}
	a.ledger.settle()
}

// auditPartition folds a partition and compares the fold with its table. saw is told of every message that its row
// took in, with the row before; add of every row in the end.
func auditPartition[S any](a *audit, m engine.Machine[S], p int32, saw func(key string, before S, in engine.Incoming, res engine.Result[S]),
	add func(key string, row engine.Row[S])) {
	rows := map[string]engine.Row[S]{}
	a.each(m.Log, p, func(r *kgo.Record) {
		a.messages++
		in, err := m.Read(replay.RecordOf(r))
		if err != nil || broker.Partition([]byte(in.Key), partitions) != p {
			a.addf("%s/%d/%d can't be taken: %v", m.Log, p, r.Offset, err)
			return
		}
		if in.Origin != nil {
			a.came(*in.Origin, source{m.Log, p}, r)
		}
		row, known := rows[in.Key]
		if !known {
			row = engine.NoRow[S]()
		}
		if row.Has(in) {
			a.repeats++
			return
		}
		next, res := m.Fold(row, in)
		if res.Inapplicable != "" {
			a.addf("%s/%d/%d is unfit: %s", m.Log, p, r.Offset, res.Inapplicable)
			return
		}
		a.sent(codecs.Origin{Log: m.Log, Partition: p, Offset: r.Offset}, res.Outputs)
		saw(in.Key, row.State, in, res)
		rows[in.Key] = next
	})
	auditTable(a, m, p, rows)
	for key, row := range rows {
		add(key, row)
	}
}

// auditTable wants the last record of each key to be the fold.
func auditTable[S any](a *audit, m engine.Machine[S], p int32, rows map[string]engine.Row[S]) {
	last := map[string][]byte{}
	a.each(m.Table, p, func(r *kgo.Record) {
		a.records++
		if older(r.Value, last[string(r.Key)]) {
			a.stale++
		}
		last[string(r.Key)] = r.Value
	})
	for key, row := range rows {
		want := m.EncodeRow(row.Head, row.State)
		if got, there := last[key]; !there {
			a.addf("%s/%d has no row of %q, whose fold is %+v", m.Table, p, key, row)
		} else if !bytes.Equal(got, want) {
			head, state, err := m.DecodeRow(got)
			a.addf("%s/%d has as the row of %q\n%+v %+v %v, and its fold is\n%+v", m.Table, p, key, head, state, err, row)
		}
	}
	for key := range last {
		if _, known := rows[key]; !known {
			a.addf("%s/%d has a row of %q, which has no fold", m.Table, p, key)
		}
	}
}

// older reports whether a row is older than the one that stood before it.
func older(row, before []byte) bool {
	if before == nil {
		return false
	}
	now, err1 := codecs.DecodeHead(row)
	then, err2 := codecs.DecodeHead(before)
	return err1 != nil || err2 != nil || then.Newer(now)
}

// came notes a message that has arrived. One with an origin that is not after the last is a repeat.
func (a *audit) came(o codecs.Origin, at source, r *kgo.Record) {
	c := a.chain(channel{source{o.Log, o.Partition}, at})
	if !after(o, c.last) {
		return
	}
	c.last = o
	c.came.add(o, r.Key, r.Value)
}

// after reports whether an output comes after another of the same partition.
func after(o, before codecs.Origin) bool {
	return o.Offset > before.Offset || o.Offset == before.Offset && o.Index > before.Index
}

// sent notes what the fold sends.
func (a *audit) sent(o codecs.Origin, outputs []engine.Output) {
	for i, out := range outputs {
		o.Index = int32(i)
		to := source{out.Log, broker.Partition([]byte(out.Key), partitions)}
		a.chain(channel{source{o.Log, o.Partition}, to}).sent.add(o, []byte(out.Key), out.Value)
	}
}

func (a *audit) chain(way channel) *chain {
	c := a.chains[way]
	if c == nil {
		c = &chain{last: codecs.Origin{Offset: -1}}
		a.chains[way] = c
	}
	return c
}

// noLetters wants the dead letters to be empty: whoever writes here writes what can be taken.
func (a *audit) noLetters(p int32) {
	a.each(engine.DeadLetters, p, func(r *kgo.Record) {
		letter, err := codecs.DecodeDeadLetter(r.Value)
		a.addf("a dead letter: %s/%d/%d of %q: %s %v", letter.Topic, letter.Partition, letter.Offset, letter.Key, letter.Reason, err)
	})
}

func (a *audit) each(topic string, p int32, each func(*kgo.Record)) {
	whole := reader{topic: topic, partition: p}
	err := whole.read(a.ctx, a.from, func(r *kgo.Record) error {
		each(r)
		return nil
	})
	if err != nil {
		a.addf("the log can't be read: %v", err)
	}
}

func header(r *kgo.Record, key string) []byte {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}
