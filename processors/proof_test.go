package processors_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
	"stockflow/views"
)

func tableOf(log string) string { return strings.TrimSuffix(log, "-events") + "-table" }

// prove waits until all has come to rest, but no longer than patience, and checks it from the bytes in the logs. It
// returns what is wrong.
func (s *shop) prove(patience time.Duration) []string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if !s.rest(ctx) {
		return s.wrong
	}
	all := s.read(ctx)
	p := proof{shop: s, logs: all, rows: map[string]map[string][]byte{}, sent: map[string]map[source][]message{}}
	s.people.tables = newTables()
	fold(p, processors.Order(nil), func(key string, r order.State) { s.people.tables.orders[key] = r })
	fold(p, processors.Inventory(nil), func(key string, r inventory.State) { s.people.tables.stock[key] = r })
	fold(p, processors.Shipment(nil), func(key string, r shipment.State) { s.people.tables.parcels[key] = r })
	fold(p, processors.Notification(nil), nil)
	p.outputs()
	p.changelogs()
	if n := len(all[engine.DeadLetters]); n > 0 {
		s.fail("%d dead letters, the first with %q", n, all[engine.DeadLetters][0].Value)
	}
	if len(s.wrong) > 0 {
		return s.wrong
	}
	s.people.checkOrders()
	s.people.checkStock()
	seen(ctx, p, processors.OrderTable, s.tables.Orders, codecs.EncodeOrderRow)
	seen(ctx, p, processors.InventoryTable, s.tables.Inventory, codecs.EncodeInventoryRow)
	seen(ctx, p, processors.ShipmentTable, s.tables.Shipments, codecs.EncodeShipmentRow)
	seen(ctx, p, processors.NotificationTable, s.tables.Mails, codecs.EncodeNotificationRow)
	return s.wrong
}

// rest waits until each group has committed all of its log. What is committed has happened, and its outputs are in
// their logs; so when the logs have no more than what was committed before they were looked at, nothing is under way.
func (s *shop) rest(ctx context.Context) bool {
	s.t.Helper()
	admin := kadm.NewClient(s.client)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	behind := ""
	for {
		select {
		case <-ctx.Done():
			s.fail("it never came to rest: %s", behind)
			return false
		case <-tick.C:
		}
		committed := admin.FetchManyOffsets(ctx, groups...)
		ends, err := admin.ListEndOffsets(ctx, processors.Logs...)
		if err != nil {
			continue
		}
		if behind = lagging(committed, ends); behind == "" {
			return true
		}
	}
}

var groups = []string{"order", "inventory", "shipment", "notification"}

// lagging says who has not committed all of its log, "" if everybody has.
func lagging(committed kadm.FetchOffsetsResponses, ends kadm.ListedOffsets) (behind string) {
	ends.Each(func(end kadm.ListedOffset) {
		group := committed[strings.TrimSuffix(end.Topic, "-events")]
		at, ok := group.Fetched.Lookup(end.Topic, end.Partition)
		if end.Err != nil || group.Err != nil || end.Offset > 0 && (!ok || at.At != end.Offset) {
			behind += " " + end.Topic
		}
	})
	return behind
}

// read reads all topics up to their ends.
func (s *shop) read(ctx context.Context) map[string][]*kgo.Record {
	s.t.Helper()
	var names []string
	for _, t := range topics() {
		names = append(names, t.Name)
	}
	client, err := s.conn.Client(kgo.ConsumeTopics(names...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, names...)
	if err != nil || ends.Error() != nil {
		s.t.Fatal(err, ends.Error())
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	all := map[string][]*kgo.Record{}
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			s.t.Fatalf("-seed %d: the logs could not be read: %v", s.seed, ctx.Err())
		}
		for _, r := range fetches.Records() {
			all[r.Topic] = append(all[r.Topic], r) // in the order of their partitions
			left--
		}
	}
	return all
}

// proof is what the logs say, and what follows from it.
type proof struct {
	*shop
	logs map[string][]*kgo.Record
	rows map[string]map[string][]byte    // table, key: the row
	sent map[string]map[source][]message // log: what was to be sent there from a partition
}

// source is a partition that messages are sent from, and the one that they are sent to.
type source struct {
	log      string
	from, to int32
}

// message is an output, or what has arrived as one.
type message struct {
	origin     codecs.Origin
	key, value string
}

// fold folds a log into its table, and notes what its machine has to have sent.
func fold[S any](p proof, m engine.Machine[S], each func(string, S)) {
	rows := map[string]engine.Row[S]{}
	for _, r := range p.logs[m.Log] {
		in, unreadable := m.Read(engine.Record{
			Partition: r.Partition, Offset: r.Offset, At: r.Timestamp.UnixMilli(), Key: string(r.Key), Value: r.Value,
			Origin: headerOf(r, codecs.HeaderOrigin),
		})
		if unreadable != nil {
			p.fail("%s/%d/%d can't be read: %v", m.Log, r.Partition, r.Offset, unreadable)
			continue
		}
		p.messages++
		row, known := rows[in.Key]
		if !known {
			row = engine.NoRow[S]()
		}
		if row.Has(in) {
			p.repeats++
			continue
		}
		next, res := m.Fold(row, in)
		if res.Inapplicable != "" {
			p.fail("%s/%d/%d is unfit: %s", m.Log, r.Partition, r.Offset, res.Inapplicable)
		}
		rows[in.Key] = next
		p.expect(m.Log, in, res.Outputs)
	}
	p.rows[m.Table] = map[string][]byte{}
	for key, row := range rows {
		p.rows[m.Table][key] = m.EncodeRow(row.Head, row.State)
		if each != nil {
			each(key, row.State)
		}
	}
}

func headerOf(r *kgo.Record, key string) []byte {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}

func (p proof) expect(log string, in engine.Incoming, outputs []engine.Output) {
	for i, o := range outputs {
		if p.sent[o.Log] == nil {
			p.sent[o.Log] = map[source][]message{}
		}
		from := source{log, in.Partition, broker.Partition([]byte(o.Key), partitions)}
		origin := codecs.Origin{Log: log, Partition: in.Partition, Offset: in.Offset, Index: int32(i)}
		p.sent[o.Log][from] = append(p.sent[o.Log][from], message{origin, o.Key, string(o.Value)})
	}
}

// outputs checks that each log has what was to be sent to it, in order and without a hole, and nothing else; what has
// come again counts once.
func (p proof) outputs() {
	for _, log := range processors.Logs {
		arrived := map[source][]message{}
		for _, r := range p.logs[log] {
			header := headerOf(r, codecs.HeaderOrigin)
			if header == nil {
				continue // from people
			}
			o, err := codecs.ParseOrigin(header)
			if err != nil {
				p.fail("%s/%d/%d: %v", log, r.Partition, r.Offset, err)
			}
			from := source{o.Log, o.Partition, r.Partition}
			before := arrived[from]
			if n := len(before); n == 0 || later(o, before[n-1].origin) {
				arrived[from] = append(before, message{o, string(r.Key), string(r.Value)})
			}
		}
		for from, want := range p.sent[log] {
			if got := arrived[from]; !slices.Equal(got, want) {
				p.fail("%s/%d had %d messages to send to %s/%d, and %d have arrived there, or others", from.log, from.from, len(want), log, from.to, len(got))
			}
			delete(arrived, from)
		}
		if len(arrived) > 0 {
			p.fail("%s has messages that nobody had to send: %v", log, arrived)
		}
	}
}

func later(a, b codecs.Origin) bool {
	return a.Offset > b.Offset || a.Offset == b.Offset && a.Index > b.Index
}

// changelogs checks that the last record of each key is its row, to the byte.
func (p proof) changelogs() {
	for table, want := range p.rows {
		got := map[string][]byte{}
		for _, r := range p.logs[table] {
			got[string(r.Key)] = r.Value
		}
		p.same(table, got, want)
	}
}

func (p proof) same(table string, got, want map[string][]byte) {
	for key := range want {
		if !bytes.Equal(got[key], want[key]) {
			p.fail("the row of %q in %s is %x, and its log folds to %x", key, table, got[key], want[key])
		}
		delete(got, key)
	}
	for key := range got {
		p.fail("%s has a row of %q, of which its log knows nothing", table, key)
	}
}

// seen checks that a view shows the rows. It has heard of all of them, or is about to.
func seen[S any](ctx context.Context, p proof, table string, view *views.Table[S], encode func(codecs.Head, S) []byte) {
	for key, want := range p.rows[table] {
		got, err := showing(ctx, view, key, func(r views.Row[S]) bool { return bytes.Equal(encode(r.Head, r.State), want) })
		if err != nil {
			p.fail("a view shows %+v for %q in %s: %v", got, key, table, err)
		}
	}
}

func showing[S any](ctx context.Context, view *views.Table[S], key string, is func(views.Row[S]) bool) (views.Row[S], error) {
	if err := view.WaitRecovered(ctx); err != nil {
		return views.Row[S]{}, err
	}
	watch, err := view.Watch(key)
	if err != nil {
		return views.Row[S]{}, err
	}
	defer watch.Close()
	if row, err := view.Get(key); err != nil || is(row) {
		return row, err
	}
	return watch.Until(ctx, is)
}
