package replay

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/engine"
)

// deliveredOutputs is how far what one partition of a log sent has come to one partition of another.
type deliveredOutputs struct {
	// highest is the highest origin that has landed. What is sent there lands in order and without a hole, so everything
	// up to there has.
	highest map[route]codecs.Origin
	// aside are those that became dead letters. Of these each counts for itself alone: somebody may have made up its origin.
	aside *scratch
}

// route is from a partition of a log to one of another, or of the same.
type route struct {
	from string
	part int32
	to   string
	into int32
}

const kindAside kind = 'a' // of landed.aside

// output is a message that was sent, or should have been.
type output struct {
	origin    codecs.Origin
	log       string
	partition int32
	key, typ  string
}

// name is how a scratch names an output.
func (o output) name() string {
	return fmt.Sprintf("%s/%d\x00%s\x00%s\x00%s", o.log, o.partition, codecs.EncodeOrigin(o.origin), o.key, o.typ)
}

// has reports whether an output has landed.
func (l deliveredOutputs) has(o output) (bool, error) {
	last, any := l.highest[route{o.origin.Log, o.origin.Partition, o.log, o.partition}]
	if any && !higher(o.origin, last) {
		return true, nil
	}
	aside, err := l.aside.get(kindAside, o.name())
	return aside != nil, err
}

// add takes note of an output that has landed.
func (l deliveredOutputs) add(o output) {
	at := route{o.origin.Log, o.origin.Partition, o.log, o.partition}
	if last, any := l.highest[at]; !any || higher(o.origin, last) {
		l.highest[at] = o.origin
	}
}

// higher compares origins of one partition.
func higher(a, b codecs.Origin) bool {
	return a.Offset > b.Offset || a.Offset == b.Offset && a.Index > b.Index
}

// deliveredOutputs reads all logs for what has deliveredOutputs in them. It is needed, and told, only where a group has not committed.
func (w *work) deliveredOutputs(ctx context.Context) (deliveredOutputs, error) {
	l := deliveredOutputs{map[route]codecs.Origin{}, w.spill.scratch(smallRoom)}
	lost := false
	for _, p := range w.parts {
		lost = lost || p.committed < 0
	}
	if !lost {
		return l, nil
	}
	logs, err := w.admin.extents(ctx, logsOf(Machines)...)
	if err != nil {
		return l, err
	}
	for _, m := range Machines {
		for n, e := range logs[m.Log] {
			w.Progress.expect(e.end - e.start)
			err := w.Conn.Read(ctx, m.Log, int32(n), e.start, e.end, func(r *kgo.Record) error {
				w.Progress.add(1)
				return w.land(l, m, RecordOf(r), logs)
			})
			if err != nil {
				return l, fmt.Errorf("reading %s/%d: %w", m.Log, n, err)
			}
		}
	}
	return l, nil
}

// land takes note of a record if its machine believes its origin. Anybody can write an origin, and what a machine makes of
// one that it doesn't believe is a dead letter, which does nothing of what should have been sent.
func (w *work) land(l deliveredOutputs, m Machine, r engine.Record, logs map[string][]extent) error {
	if r.Origin == nil {
		return nil
	}
	letter, err := w.letters.get(kindLetter, letterKey(m.Log, r.Partition, r.Offset))
	if err != nil || strings.HasSuffix(string(letter), engine.BeyondEnd) {
		return err // the log may have come to its origin since
	}
	in, ruling, err := m.admit(r, believing(w.reach.partitions, logs))
	if err != nil || ruling.Disposition != 0 || in.Origin == nil {
		return err
	}
	o := output{*in.Origin, m.Log, r.Partition, in.Key, in.Type}
	if letter != nil {
		return l.aside.put(kindAside, o.name(), []byte{1})
	}
	l.add(o)
	return nil
}

// believing is a world without rows, in which a log reaches up to its end.
func believing(partitions int32, logs map[string][]extent) World {
	return World{Partitions: partitions, Reaches: func(o codecs.Origin) (bool, error) {
		list := logs[o.Log]
		return o.Partition >= 0 && int(o.Partition) < len(list) && o.Offset < list[o.Partition].end, nil
	}}
}
