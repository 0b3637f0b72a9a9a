package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/processors/order"
)

// partings are where rows part first from what their logs make them, by table and key.
type partings map[string]int64

// crime is a directory whose tables are damaged.
type crime struct {
	*testing.T
	conn   broker.Connection
	client *kgo.Client
}

// records returns those of a topic, in the order of each partition.
func (c crime) records(topic string) (all []*kgo.Record) {
	c.Helper()
	ends, err := kadm.NewClient(c.client).ListEndOffsets(c.Context(), topic)
	if err != nil {
		c.Fatal(err)
	}
	ends.Each(func(e kadm.ListedOffset) {
		if err := broker.Read(c.Context(), c.conn, topic, e.Partition, 0, e.Offset, func(r *kgo.Record) error {
			all = append(all, &kgo.Record{Topic: topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Headers: r.Headers})
			return nil
		}); err != nil {
			c.Fatal(err)
		}
	})
	return all
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

func (c crime) write(records ...*kgo.Record) {
	c.Helper()
	if err := c.client.ProduceSync(c.Context(), records...).FirstErr(); err != nil {
		c.Fatal(err)
	}
}

// add writes a record behind all others of a table.
func (c crime) add(table, key string, row []byte) {
	c.write(&kgo.Record{Topic: table, Key: []byte(key), Value: row})
}

// rewrite makes a table's topic anew from the records that change leaves.
func (c crime) rewrite(table string, change func(r *kgo.Record) (keep bool)) {
	c.Helper()
	left := slices.DeleteFunc(c.records(table), func(r *kgo.Record) bool { return !change(r) })
	deleted(c.T, c.conn, table)
	if _, _, err := broker.Ensure(c.Context(), c.conn, topics(), 8); err != nil {
		c.Fatal(err)
	}
	c.write(left...)
}

// nobody adds a row of an order that nobody placed.
func (c crime) nobody() {
	c.add(processors.OrderTable, "nobody", codecs.EncodeOrderRow(codecs.Head{Applied: 7}, order.State{Status: order.Confirmed}))
}

// ahead makes the row of an order claim what is to come, and returns the offset that it had taken in.
func (c crime) ahead(id string) int64 {
	c.Helper()
	head, s, err := codecs.DecodeOrderRow(rowOf(c.T, c.conn, processors.OrderTable, id))
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
		head, s, err := codecs.DecodeInventoryRow(rowOf(c.T, c.conn, processors.InventoryTable, "sku-1"))
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
		applied := c.head(rowOf(c.T, c.conn, processors.InventoryTable, "sku-3")).Applied
		c.add(processors.InventoryTable, "sku-3", []byte("\xff"))
		return partings{"inventory-table sku-3": applied}
	}, []string{"of the changelog does not decode", `the table has it:  "ff, which doesn't decode`}},
	"a row of which only the head is one": {func(c crime) partings {
		row := rowOf(c.T, c.conn, processors.InventoryTable, "sku-3")
		_, _, n := protowire.ConsumeField(row)
		c.add(processors.InventoryTable, "sku-3", append(row[:n:n], 0xff))
		return partings{"inventory-table sku-3": c.head(row).Applied}
	}, []string{"of the changelog does not decode", "ff, which doesn't decode"}},
	"all rows of a table": {func(c crime) partings {
		first := partings{}
		for _, r := range slices.Backward(c.records(processors.InventoryEvents)) {
			first["inventory-table "+string(r.Key)] = r.Offset
		}
		deleted(c.T, c.conn, processors.InventoryTable)
		return first
	}, []string{"the row is missing"}},
	"several at once": {severalDamages, []string{"of the changelog does not decode", "has not taken in offset", "no message there is its", "and the log ends at"}},
}

// severalDamages corrupts a record of a changelog, drops another, adds one, and has a row claim what is to come.
func severalDamages(c crime) partings {
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
	c.rewrite(processors.InventoryTable, func(r *kgo.Record) bool {
		if last, damaged := newest[string(r.Key)]; !damaged || r.Offset != last {
			return true
		}
		r.Value = []byte("\xff")
		return string(r.Key) == corrupt
	})
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
			dir, large := t.TempDir(), name == "all rows of a table" || name == "several at once"
			traded(t, dir)
			var parted partings
			opened(t, dir, func(conn broker.Connection, client *kgo.Client) { parted = damage.do(crime{t, conn, client}) })
			if large {
				dry(t, dir)
			}
			mended(t, dir, damage.says, parted)
			if large {
				goesOn(t, dir)
			}
		})
	}
}

// dry expects a dry run, and a run that nobody has agreed to, to change nothing.
func dry(t *testing.T, dir string) {
	t.Helper()
	data := "--data=" + dir
	told(t, 0, []string{"dry run"}, "replay", "--all", "--dry-run", data)
	told(t, 1, []string{"--yes"}, "replay", "--all", data)
}

// mended expects verify to say what is wrong in a directory, and replay to mend it.
func mended(t *testing.T, dir string, says []string, parted partings) {
	t.Helper()
	data := "--data=" + dir
	told(t, 1, says, "verify", data)
	if found := partingsOf(t, data); !maps.Equal(found, parted) {
		t.Errorf("verify finds %v, expected %v", found, parted)
	}
	told(t, 0, nil, "replay", "--all", "--yes", data)
	told(t, 0, []string{allEqual}, "verify", data)
}

// goesOn expects a second replay to change nothing, and a server to go on from a directory that was mended.
func goesOn(t *testing.T, dir string) {
	t.Helper()
	data := "--data=" + dir
	if again := told(t, 0, nil, "replay", "--all", "--yes", data); strings.Contains(again, "was ") {
		t.Errorf("a second replay changes %s", again)
	}
	m := newMill(t, dir)
	m.client.want("POST", "/v1/inventory/sku-3/receipts", `{"quantity":5}`, 200)
	m.client.want("POST", "/v1/orders", `{"order_id":"after","lines":[{"sku":"sku-3","quantity":1}]}`, 201)
	told(t, 0, []string{allEqual, "over HTTP"}, "verify", data)
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
