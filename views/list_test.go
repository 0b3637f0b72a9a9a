package views

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// standing returns a table that nobody follows. The test puts rows into it.
func standing[S any](t testing.TB, decode func([]byte) (codecs.Head, S, error), x index[S], partitions int) *Table[S] {
	t.Helper()
	table := NewTable(things, decode, broker.Connection{}, t.TempDir(), slog.New(slog.DiscardHandler))
	table.index = x
	table.begin(partitions, func(error) {})
	for _, p := range table.partitions {
		must(t, p.Open())
		t.Cleanup(func() { must(t, p.indexed.Close()) })
		table.markRecovered(p)
	}
	return table
}

func (t *Table[S]) put(tb testing.TB, key string, row []byte) {
	tb.Helper()
	must(tb, t.partitionOf(key).Set(key, row))
}

// clear makes the table as empty as it was.
func (t *Table[S]) clear(tb testing.TB, rows map[string]S) {
	tb.Helper()
	for key := range rows {
		must(tb, t.partitionOf(key).Delete(key))
	}
}

// walk reads a list to its end, in pages of limit, and returns its keys.
func walk[S any](t testing.TB, table *Table[S], sel Selection[S], limit int) []string {
	t.Helper()
	keys, after := []string{}, ""
	for {
		page, next, err := table.List(sel, after, limit)
		must(t, err)
		if len(page) > limit {
			t.Fatalf("a page of %d has %d rows", limit, len(page))
		}
		for _, e := range page {
			keys = append(keys, e.Key)
		}
		if next == "" {
			return keys
		}
		if next <= after || len(page) > 0 && next < page[len(page)-1].Key {
			t.Fatalf("after %q the list goes on after %q", after, next)
		}
		after = next
	}
}

// naively is the list without an index: all rows, filtered and sorted.
func naively[S any](rows map[string]S, in func(key string, s S) bool) []string {
	keys := []string{}
	for key, s := range rows {
		if in(key, s) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

var someKeys = rapid.StringMatching(`[ab€ ]{1,4}`)

func TestOrdersAreListedAsANaiveListIs(t *testing.T) {
	table := standing(t, codecs.DecodeOrderRow, orderIndex, 3)
	customers := []string{"", "c", "c-1", "c-10", "é"}
	rapid.Check(t, func(rt *rapid.T) {
		rows := map[string]order.State{}
		defer table.clear(t, rows)
		for range rapid.IntRange(0, 40).Draw(rt, "changes") {
			key := someKeys.Draw(rt, "key")
			rows[key] = order.State{
				Status:   order.Status(rapid.IntRange(0, int(order.Cancelled)).Draw(rt, "status")),
				Customer: order.Customer{ID: rapid.SampledFrom(customers).Draw(rt, "customer")},
			}
			table.put(t, key, codecs.EncodeOrderRow(codecs.Head{Applied: 1}, rows[key]))
		}
		status := order.Status(rapid.IntRange(0, int(order.Cancelled)).Draw(rt, "wanted status"))
		customer := rapid.SampledFrom(customers).Draw(rt, "wanted customer")
		got := walk(t, table, Orders(status, customer), rapid.IntRange(1, 9).Draw(rt, "limit"))
		want := naively(rows, func(_ string, s order.State) bool {
			return s.Status != order.None && (status == order.None || s.Status == status) && (customer == "" || s.Customer.ID == customer)
		})
		if !slices.Equal(got, want) {
			rt.Fatalf("orders of status %q and customer %q are %q, want %q", status, customer, got, want)
		}
	})
}

func TestStockIsListedAsANaiveListIs(t *testing.T) {
	table := standing(t, codecs.DecodeInventoryRow, stockIndex, 3)
	quantities := rapid.OneOf(rapid.Int64Range(0, 40), rapid.Int64Range(900, 1100), rapid.Int64Range(0, inventory.MaxOnHand))
	rapid.Check(t, func(rt *rapid.T) {
		rows := map[string]inventory.State{}
		defer table.clear(t, rows)
		for range rapid.IntRange(0, 40).Draw(rt, "changes") {
			key := someKeys.Draw(rt, "key")
			rows[key] = stockOf(quantities.Draw(rt, "available"), rapid.Bool().Draw(rt, "known"))
			table.put(t, key, codecs.EncodeInventoryRow(codecs.Head{Applied: 1}, rows[key]))
		}
		most := quantities.Draw(rt, "most")
		prefix := rapid.StringMatching(`[ab€]{0,2}`).Draw(rt, "prefix")
		limit := rapid.IntRange(1, 9).Draw(rt, "limit")
		for _, up := range []bool{false, true} {
			sel := Stock(prefix)
			if up {
				sel = StockUpTo(prefix, most)
			}
			got := walk(t, table, sel, limit)
			want := naively(rows, func(key string, s inventory.State) bool {
				return s.Known && strings.HasPrefix(key, prefix) && (!up || s.Available() <= most)
			})
			if !slices.Equal(got, want) {
				rt.Fatalf("from %q, up to %d (%v): %q, want %q", prefix, most, up, got, want)
			}
		}
	})
}

func stockOf(available int64, known bool) inventory.State {
	if !known {
		return inventory.State{}
	}
	return inventory.State{Known: true, Received: available, Locations: []inventory.Stock{{Location: "main", OnHand: available}}}
}

func TestShipmentsAndMailsAreListedByStatus(t *testing.T) {
	shipments := standing(t, codecs.DecodeShipmentRow, shipmentIndex, 2)
	for key, status := range map[string]shipment.Status{
		"a": shipment.StatusScheduled, "b": shipment.StatusDispatched, "c": shipment.StatusScheduled, "d": shipment.None,
	} {
		shipments.put(t, key, codecs.EncodeShipmentRow(codecs.Head{}, shipment.State{Status: status}))
	}
	for status, want := range map[shipment.Status]string{
		shipment.None: "[a b c]", shipment.StatusScheduled: "[a c]", shipment.StatusDelivered: "[]",
	} {
		if got := fmt.Sprint(walk(t, shipments, Shipments(status), 1)); got != want {
			t.Errorf("shipments of status %q are %s, want %s", status, got, want)
		}
	}

	mail := func(kind notification.Kind, status notification.Status) notification.Mail {
		return notification.Mail{Notify: notification.Notify{Kind: kind}, Status: status, Round: 1}
	}
	mails := standing(t, codecs.DecodeNotificationRow, mailIndex, 2)
	for key, s := range map[string][]notification.Mail{
		"a": {mail(notification.Confirmed, notification.StatusSent), mail(notification.Shipped, notification.StatusFailed)},
		"b": {mail(notification.Rejected, notification.StatusFailed)},
		"c": {mail(notification.Confirmed, notification.StatusQueued), mail(notification.Shipped, notification.StatusQueued)},
		"d": nil,
	} {
		mails.put(t, key, codecs.EncodeNotificationRow(codecs.Head{}, notification.State{Mails: s}))
	}
	for status, want := range map[notification.Status]string{
		0: "[a b c]", notification.StatusFailed: "[a b]", notification.StatusSent: "[a]", notification.StatusQueued: "[c]",
	} {
		if got := fmt.Sprint(walk(t, mails, Mails(status), 1)); got != want {
			t.Errorf("rows with mails of status %d are %s, want %s", status, got, want)
		}
	}
}

// Neither rows that are looked at in vain nor large ones make a page cost more than it may.
func TestAPageIsBoundedByMoreThanItsLimit(t *testing.T) {
	stock := standing(t, codecs.DecodeInventoryRow, stockIndex, 2)
	const rows = 2*pageMisses + 100
	for i := range rows { // all in the eighth of 970, all but one beyond it
		available := int64(1000)
		if i == rows-1 {
			available = 970
		}
		stock.put(t, fmt.Sprintf("s%05d", i), codecs.EncodeInventoryRow(codecs.Head{}, stockOf(available, true)))
	}
	page, next, err := stock.List(StockUpTo("", 970), "", 50)
	must(t, err)
	if len(page) != 0 || next != fmt.Sprintf("s%05d", pageMisses+50-1) {
		t.Errorf("a page without luck has %d rows and goes on after %q", len(page), next)
	}
	if got := walk(t, stock, StockUpTo("", 970), 50); len(got) != 1 {
		t.Errorf("the walk comes to %q", got)
	}

	large := standing(t, decodeThing, index[string]{}, 2)
	for i := range 8 {
		large.put(t, fmt.Sprint(i), thing{Value: strings.Repeat("x", pageBytes/3)}.row())
	}
	few, _, err := large.List(Selection[string]{}, "", 50)
	must(t, err)
	if len(few) != 3 {
		t.Errorf("a page of large rows has %d of them", len(few))
	}
	if got := len(walk(t, large, Selection[string]{}, 50)); got != 8 {
		t.Errorf("the walk comes to %d rows", got)
	}
}

// byWord finds a thing under each word of its value.
var byWord = index[string]{version: "words 1", terms: strings.Fields}

// byWordHeld finds a thing that stays without a look at its row.
var byWordHeld = index[string]{version: "words held 1", terms: strings.Fields, holds: "s"}

// listed returns a running table with an index.
func (w *world) listed(x index[string]) (table *Table[string], stop func()) {
	w.t.Helper()
	table = w.table()
	table.index = x
	stop = w.run(table)
	w.recovered(table)
	return table, stop
}

// What is there during the whole walk is seen exactly once, whatever else comes, goes, and changes, and over a restart.
func TestAWalkSeesWhatStaysExactlyOnce(t *testing.T) {
	for name, x := range map[string]index[string]{"by entries": byWord, "by entries that hold rows": byWordHeld} {
		t.Run(name, func(t *testing.T) { walkAmongWrites(t, x) })
	}
}

func walkAmongWrites(t *testing.T, x index[string]) {
	w := newWorld(t, 3)
	const stay = 60
	for i := range stay {
		w.write(fmt.Sprintf("k%03d", 2*i), thing{Applied: 1, Value: "stays"})
	}
	writing, quit := make(chan struct{}), make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := int64(2); ; i++ {
			// Between those that stay, others come and go; and those that stay change, but not in what they are listed for.
			w.write(fmt.Sprintf("k%03d", 2*rand.IntN(stay)+1), thing{Applied: i, Value: []string{"stays", "goes"}[i%2]})
			w.write(fmt.Sprintf("k%03d", 2*rand.IntN(stay)), thing{Applied: i, Value: fmt.Sprint("stays ", i)})
			select {
			case <-quit:
				return
			case writing <- struct{}{}:
			}
		}
	})
	table, stop := w.listed(x)
	seen, after := map[string]int{}, ""
	for pages := 0; ; pages++ {
		<-writing
		if pages == 10 {
			stop()
			table, stop = w.listed(x)
		}
		page, next, err := table.List(under[string]("stays"), after, 3)
		must(t, err)
		for _, e := range page {
			seen[e.Key]++
		}
		if after = next; next == "" {
			break
		}
	}
	close(quit)
	writer.Wait()
	for i := range stay {
		if key := fmt.Sprintf("k%03d", 2*i); seen[key] != 1 {
			t.Errorf("%s was seen %d times", key, seen[key])
		}
	}
	for key, n := range seen {
		if n > 1 {
			t.Errorf("%s was seen %d times", key, n)
		}
	}
}

// A table that finds its rows on disk and not their index makes it before it is read; one that finds nothing makes it from
// the changelog; both are as the one that took row after row in.
func TestAnIndexIsTheSameHoweverItCameAbout(t *testing.T) {
	w := newWorld(t, 2)
	live, stop := w.listed(byWord)
	for i := range 200 {
		w.write(fmt.Sprint("k", rand.IntN(40)), thing{Applied: int64(i), Value: []string{"red", "blue", "red blue", ""}[rand.IntN(4)]})
	}
	for p := range int32(2) { // the last of each partition, so that all before it has been taken in
		key := "last"
		for n := 0; live.Partition(key) != p; n++ {
			key = fmt.Sprint("last", n)
		}
		last := watch(t, live, key)
		w.write(key, thing{Applied: 1, Value: "red"}, codecs.Taken{Offset: 1})
		_, err := last.Decision(within(t), 1)
		must(t, err)
	}
	want := lists(t, live)
	stop()

	expect := func(how string, x index[string]) {
		t.Helper()
		table, stop := w.listed(x)
		if got := lists(t, table); got != want {
			t.Errorf("%s, the lists are %s, want %s", how, got, want)
		}
		stop()
	}
	expect("after a restart", byWord)
	_, stop = w.listed(index[string]{})
	stop()
	expect("when an index is added", byWord)
	expect("with an index of another version", index[string]{version: "words 2", terms: strings.Fields})
	expect("when its entries come to hold their rows", index[string]{version: "words 3", terms: strings.Fields, holds: "r"})
	expect("after a restart with those", index[string]{version: "words 3", terms: strings.Fields, holds: "r"})
	expect("when they hold them no more", byWord)
	w.dir = t.TempDir()
	expect("after a recovery", byWord)
}

func lists(t testing.TB, table *Table[string]) string {
	return fmt.Sprint(walk(t, table, under[string]("red"), 7), walk(t, table, under[string]("blue"), 7))
}

func TestAListMayBeReadWhileItsTableIsClosed(t *testing.T) {
	w := newWorld(t, 4)
	w.write("lamp", thing{Applied: 1, Value: "on"})
	table, stop := w.listed(byWord)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				page, _, err := table.List(under[string]("on"), "", 5)
				if err != nil {
					wantRecovering(t, err, "its st")
					return
				}
				if len(page) != 1 || page[0].Key != "lamp" {
					t.Errorf("a reader got %+v", page)
				}
			}
		})
	}
	stop()
	readers.Wait()
}

func TestATableThatCanNotBeListedIsOpenedAgain(t *testing.T) {
	w := newWorld(t, 1)
	w.write("lamp", thing{Applied: 1, Value: "on"})
	table, _ := w.listed(byWord)
	table.mu.RLock()
	before := table.recovered
	must(t, table.partitions[0].indexed.Close())
	table.mu.RUnlock()
	if _, _, err := table.List(under[string]("on"), "", 5); err == nil || !strings.Contains(err.Error(), things) {
		t.Fatalf("the error is %v", err)
	}
	w.reopened(table, before)
	if got := fmt.Sprint(walk(t, table, under[string]("on"), 5)); got != "[lamp]" {
		t.Errorf("the list is %s", got)
	}
}
