package cli

import (
	"fmt"
	"maps"
	"net/http"
	"testing"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/stockflowtest"
)

// TestAKilledStockflowIsRebuiltAndGoesOn: it is killed under load, all but its logs is lost, the tables are rebuilt, and
// what was under way then is settled: each order that was acknowledged has its outcome, and nothing happens twice. The rebuilding
// sends nothing, and no e-mail goes out twice but those that the mail server had taken and the log had not heard of.
func TestAKilledStockflowIsRebuiltAndGoesOn(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	const first = 48
	dir := t.TempDir()
	data := "--data=" + dir
	relay := stockflowtest.NewRelay(t, nil)
	p, client := spawnServer(t, dir, relay.Flags()...)
	orders := make([]string, first, first+120)
	for i := range orders { // so that each partition which is killed at work has committed an offset before
		sku := []string{"lamp", "desk", "mug"}[i%3]
		orders[i] = fmt.Sprint("first-", i)
		client.want("POST", "/v1/inventory/"+sku+"/receipts", `{"quantity":1}`, 200)
		client.want("POST", "/v1/orders", fmt.Sprintf(`{"order_id":%q,"customer":{"id":"ada","email":"ada@example.org"},"lines":[{"sku":%q,"quantity":1}]}`, orders[i], sku), 201)
	}
	must(t, p.Stop())
	p, client = spawnServer(t, dir, relay.Flags()...)
	wanted := killedAmidMails(t, dir, p, client, relay, first+10)
	told(t, 0, nil, "verify", data)
	for _, table := range rebuilt(t, "--dry-run", data).Tables { // rows that have taken in more than was committed may stay
		if table.Written != 0 || table.Removed != 0 {
			t.Errorf("of %s, %d rows would be written and %d removed, which are right; its cuts are %v", table.Table, table.Written, table.Removed, table.Cuts)
		}
	}
	logsAlone(t, dir)
	before := logged(t, dir)
	told(t, 0, []string{"no offset was committed"}, "replay", "--all", "--yes", data)
	if now := logged(t, dir); !maps.Equal(now, before) {
		t.Errorf("after a rebuilding the logs are %v, and were %v", now, before)
	}
	if again := relay.Drain(); len(again) > 0 {
		t.Errorf("a rebuilding has sent %d e-mails", len(again))
	}

	server, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, Mail: relayed(relay)})
	newQuiet(t, server).wait(t)
	for i := range 120 {
		id := fmt.Sprint("o-0-", i)
		switch a := client.send("GET", "/v1/orders/"+id, ""); a.status {
		case http.StatusNotFound:
		case http.StatusOK:
			orders = append(orders, id)
		default:
			t.Errorf("an order is answered with %d %s", a.status, a.text)
		}
	}
	if len(orders) < first+60 {
		t.Errorf("only %d orders are there, and 108 were acknowledged", len(orders))
	}
	for _, id := range orders {
		untilToldAll(t, server, id)
	}
	mails := relay.Counts()
	told(t, 0, []string{allEqual, fmt.Sprintf("%d orders", len(orders)), fmt.Sprintf("%d e-mails", len(mails)), "0 messages in transit"}, "verify", data)
	for id, n := range mails {
		if want := max(1, wanted[id]); n != want {
			t.Errorf("the e-mail %s has come %d times, expected %d", id, n, want)
		}
	}
	t.Logf("%d orders, %d e-mails, %d of them twice", len(orders), len(mails), relay.Repeats())
}

// killedAmidMails kills a server under load. The mail server has acknowledged n e-mails by then, if there were as many, and takes
// more without an answer. It returns how often each e-mail that has come is to come in all: once more if the log has not heard of it.
func killedAmidMails(t *testing.T, dir string, p *stockflowtest.Process, client *shop, relay *stockflowtest.Relay, n int) (wanted map[string]int) {
	t.Helper()
	held := make(chan func(), 1)
	go func() {
		relay.Wait(n, p.Ended)
		_, release := relay.Next(p.Ended)
		held <- release
	}()
	killUnderLoad(p, client, 0)
	p.Kill()
	(<-held)()
	relay.Drain()
	wanted = relay.Counts()
	heard := sentOf(t, dir, relay)
	repeats := 0
	for id := range wanted {
		if !heard[id] {
			wanted[id]++
			repeats++
		}
	}
	if repeats > inFlight {
		t.Errorf("%d e-mails were with the mail server when the server was killed, and it may have handed over %d", repeats, inFlight)
	}
	return wanted
}

// sentOf returns the Message-IDs of the e-mails that were sent according to the log of a stopped directory.
func sentOf(t *testing.T, dir string, relay *stockflowtest.Relay) map[string]bool {
	t.Helper()
	writer, err := relayed(relay).writer()
	must(t, err)
	sent := map[string]bool{}
	opened(t, dir, func(b broker.Local) {
		for _, r := range records(t, b, processors.NotificationEvents) {
			m, err := codecs.DecodeNotificationEvent(r.Value)
			must(t, err)
			if outcome, is := m.Event.(notification.Sent); is {
				letter, err := writer.Write(string(r.Key), notification.Mail{Notify: notification.Notify{Kind: outcome.Kind, Email: "ada@example.org"}})
				must(t, err)
				sent[letter.ID] = true
			}
		}
	})
	return sent
}

// untilToldAll waits until the customer of an order was sent an e-mail for each status that it has come to, which must have an outcome.
func untilToldAll(t *testing.T, server *Server, id string) {
	t.Helper()
	row, err := server.tables.Orders.Get(id)
	must(t, err)
	if row.State.Status <= order.Pending {
		t.Errorf("the order %s is still %s", id, row.State.Status)
	}
	for _, change := range row.State.History {
		for _, k := range notification.Kinds {
			if k.String() == change.Status.String() {
				untilMail(t, server, id, k, notification.StatusSent)
			}
		}
	}
}
