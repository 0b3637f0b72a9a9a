package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/order"
	"stockflow/processors"
)

// partings are where rows part first from what their logs make them, by table and key.
type partings map[string]int64

// crime is where tables are damaged.
type crime struct {
	*testing.T
	broker.Broker
}

func (c crime) records(topic string) []*kgo.Record {
	c.Helper()
	return records(c.T, c.Broker, topic)
}

// of returns the records of a topic that have a key.
func (c crime) of(topic, key string) []*kgo.Record {
	c.Helper()
	return slices.DeleteFunc(c.records(topic), func(r *kgo.Record) bool { return string(r.Key) != key })
}

func (c crime) head(row []byte) codecs.Head {
	c.Helper()
	head, err := codecs.DecodeHead(row)
	if err != nil {
		c.Fatal(err)
	}
	return head
}

// after returns the offset of the first message of a key behind what its row had taken in before its newest record.
func (c crime) after(log, table, key string) int64 {
	c.Helper()
	rows := c.of(table, key)
	before := c.head(rows[len(rows)-2].Value).Applied
	messages := c.of(log, key)
	return messages[slices.IndexFunc(messages, func(r *kgo.Record) bool { return r.Offset > before })].Offset
}

// add writes a record behind all others of a table.
func (c crime) add(table, key string, row []byte) {
	c.Helper()
	put(c.T, c.Broker, &kgo.Record{Topic: table, Key: []byte(key), Value: row})
}

// nobody adds a row of an order that nobody placed.
func (c crime) nobody() {
	c.add(processors.OrderTable, "nobody", codecs.EncodeOrderRow(codecs.Head{Applied: 7}, order.State{Status: order.Confirmed}))
}

// ahead makes the row of an order claim what is to come, and returns the offset that it had taken in.
func (c crime) ahead(id string) int64 {
	c.Helper()
	head, s, err := codecs.DecodeOrderRow(rowOf(c.T, c.Broker, processors.OrderTable, id))
	if err != nil {
		c.Fatal(err)
	}
	head.Applied += 1000
	c.add(processors.OrderTable, id, codecs.EncodeOrderRow(head, s))
	return head.Applied - 1000
}

// damages are what may happen to tables: do does it, and returns where they part; says is what verify says of it besides.
var damages = map[string]struct {
	do   func(c crime) partings
	says []string
}{
	"a row that says something else": {func(c crime) partings {
		head, s, err := codecs.DecodeInventoryRow(rowOf(c.T, c.Broker, processors.InventoryTable, "sku-1"))
		if err != nil {
			c.Fatal(err)
		}
		s.Locations[0].OnHand++
		c.add(processors.InventoryTable, "sku-1", codecs.EncodeInventoryRow(head, s))
		return partings{"inventory-table sku-1": head.Applied}
	}, []string{`"sku-1": the rows differ`}},
	"a row of nobody": {func(c crime) partings {
		c.nobody()
		return partings{"order-table nobody": 7}
	}, []string{"the log makes it:  none", "they part at offset 7"}},
	"a row that was taken away": {func(c crime) partings {
		c.add(processors.ShipmentTable, "o-0", nil)
		return partings{"shipment-table o-0": c.of(processors.ShipmentEvents, "o-0")[0].Offset}
	}, []string{`"o-0": the row is missing`, "the table has it:  none"}},
	"a row that claims what is to come": {func(c crime) partings {
		return partings{"order-table o-7": c.ahead("o-7")}
	}, []string{`"o-7": the table's row claims to have taken in offset 10`, ", and the log ends at "}},
	"a row that is not one": {func(c crime) partings {
		applied := c.head(rowOf(c.T, c.Broker, processors.InventoryTable, "sku-3")).Applied
		c.add(processors.InventoryTable, "sku-3", []byte("\xff"))
		return partings{"inventory-table sku-3": applied}
	}, []string{"of the changelog does not decode", `the table has it:  "ff, which doesn't decode`}},
	"a row of which only the head is one": {func(c crime) partings {
		row := rowOf(c.T, c.Broker, processors.InventoryTable, "sku-3")
		_, _, n := protowire.ConsumeField(row)
		c.add(processors.InventoryTable, "sku-3", append(row[:n:n], 0xff))
		return partings{"inventory-table sku-3": c.head(row).Applied}
	}, []string{"of the changelog does not decode", "ff, which doesn't decode"}},
	"all rows of a table": {func(c crime) partings {
		first := partings{}
		for _, r := range slices.Backward(c.records(processors.InventoryEvents)) {
			first["inventory-table "+string(r.Key)] = r.Offset
		}
		var gone []*kgo.Record
		for _, r := range c.records(processors.InventoryTable) {
			gone = append(gone, &kgo.Record{Topic: r.Topic, Key: r.Key})
		}
		put(c.T, c.Broker, gone...)
		return first
	}, []string{"the row is missing"}},
	"several at once": {func(c crime) partings {
		row := rowOf(c.T, c.Broker, processors.InventoryTable, "sku-1")
		c.add(processors.InventoryTable, "sku-1", []byte("\xff"))
		c.add(processors.ShipmentTable, "o-0", nil)
		c.nobody()
		return partings{
			"inventory-table sku-1": c.head(row).Applied,
			"shipment-table o-0":    c.of(processors.ShipmentEvents, "o-0")[0].Offset,
			"order-table nobody":    7,
			"order-table o-7":       c.ahead("o-7"),
		}
	}, []string{"of the changelog does not decode", "the row is missing", "no message there is its", "and the log ends at"}},
}

// damagesOfKafka are what may happen to tables whose topics somebody may delete.
var damagesOfKafka = map[string]struct {
	do   func(p place, c crime) partings
	says []string
}{
	"all rows of a table": {func(p place, c crime) partings {
		first := partings{}
		for _, r := range slices.Backward(c.records(processors.InventoryEvents)) {
			first["inventory-table "+string(r.Key)] = r.Offset
		}
		p.deleted(c.T, processors.InventoryTable)
		return first
	}, []string{"the row is missing"}},
	"several at once": {severalDamages, []string{"of the changelog does not decode", "has not taken in offset", "no message there is its", "and the log ends at"}},
}

// severalDamages corrupts a record of a changelog, drops another, adds one, and has a row claim what is to come.
func severalDamages(p place, c crime) partings {
	const corrupt, dropped = "sku-1", "sku-2"
	parted := partings{
		"inventory-table " + corrupt: c.after(processors.InventoryEvents, processors.InventoryTable, corrupt),
		"inventory-table " + dropped: c.after(processors.InventoryEvents, processors.InventoryTable, dropped),
		"order-table nobody":         7,
		"order-table o-7":            c.ahead("o-7"),
	}
	newest := map[string]int64{}
	for _, key := range []string{corrupt, dropped} {
		rows := c.of(processors.InventoryTable, key)
		newest[key] = rows[len(rows)-1].Offset
	}
	left := slices.DeleteFunc(c.records(processors.InventoryTable), func(r *kgo.Record) bool {
		last, damaged := newest[string(r.Key)]
		return damaged && r.Offset == last && string(r.Key) == dropped
	})
	for _, r := range left {
		if r.Offset == newest[corrupt] && string(r.Key) == corrupt {
			r.Value = []byte("\xff")
		}
	}
	p.deleted(c.T, processors.InventoryTable)
	_, _, err := c.Ensure(c.Context(), topics(), 8)
	must(c.T, err)
	put(c.T, c.Broker, left...)
	c.nobody()
	return parted
}

// TestVerifyFindsWhatIsWrong, and nothing else, and replay mends it: after each kind of damage verify names just the damaged
// rows and where they part, and replay mends them. After the largest, also a dry run says the same and changes nothing, and Stockflow
// goes on from there.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			p := place{dir: t.TempDir()}
			traded(t, p.dir)
			var parted partings
			p.opened(t, func(b broker.Broker) { parted = damage.do(crime{t, b}) })
			if name == "all rows of a table" || name == "several at once" {
				p.mendedAndGoesOn(t, damage.says, parted)
			} else {
				p.mended(t, damage.says, parted)
			}
		})
	}
	for name, damage := range damagesOfKafka {
		t.Run(name+" on Kafka", func(t *testing.T) {
			p := tradedOnKafka(t)
			parted := damage.do(p, crime{t, p.conn()})
			p.mendedAndGoesOn(t, damage.says, parted)
		})
	}
}

// mended expects verify to say what is wrong in a place, and replay to mend it.
func (p place) mended(t *testing.T, says []string, parted partings) {
	t.Helper()
	told(t, 1, says, p.verify()...)
	if found := partingsOf(t, p.flags()...); !maps.Equal(found, parted) {
		t.Errorf("verify finds %v, expected %v", found, parted)
	}
	told(t, 0, nil, p.replay()...)
	told(t, 0, []string{allEqual}, p.verify()...)
}

// mendedAndGoesOn also expects a dry run, and a run that nobody has agreed to, to change nothing before that, and a second replay
// after it. A server goes on from there.
func (p place) mendedAndGoesOn(t *testing.T, says []string, parted partings) {
	t.Helper()
	told(t, 0, []string{"dry run"}, p.replay("--dry-run")...)
	told(t, 1, []string{"--yes"}, append([]string{"replay", "--all"}, p.flags()...)...)
	p.mended(t, says, parted)
	if again := told(t, 0, nil, p.replay()...); strings.Contains(again, "was ") {
		t.Errorf("a second replay changes %s", again)
	}
	m := millOf(t, p)
	m.client.want("POST", "/v1/inventory/sku-3/receipts", `{"quantity":5}`, 200)
	m.client.want("POST", "/v1/orders", `{"order_id":"after","lines":[{"sku":"sku-3","quantity":1}]}`, 201)
	told(t, 0, []string{allEqual, "over HTTP"}, p.verify("--url=http://"+m.server.HTTPAddr())...)
	halt(t, m.server)
}

// partingsOf returns what verify finds, -1 where it doesn't say where rows part.
func partingsOf(t *testing.T, where ...string) partings {
	t.Helper()
	var report struct {
		Differences []struct {
			Table, Key string
			Offset     *int64 `json:"first_offset"`
		}
	}
	if err := json.Unmarshal([]byte(told(t, 1, nil, append([]string{"verify", "--json"}, where...)...)), &report); err != nil {
		t.Fatal(err)
	}
	found := partings{}
	for _, d := range report.Differences {
		name := fmt.Sprint(d.Table, " ", d.Key)
		if _, before := found[name]; before {
			t.Errorf("%s is told twice", name)
		}
		if found[name] = -1; d.Offset != nil {
			found[name] = *d.Offset
		}
	}
	return found
}
