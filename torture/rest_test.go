package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"stockflow/stockflowtest"
)

// glance is how often one looks whether all is at rest.
const glance = 100 * time.Millisecond

// groups are those of the machines.
var groups = []string{"order", "inventory", "shipment", "notification"}

// rest waits until nothing is under way: all messages are committed, which means that what follows from them is in the
// logs, and no e-mail is to be sent. Nobody may write meanwhile. What is read may change between two looks, so the
// logs must not have grown.
func rest(ctx context.Context, p *stockflowtest.Process) error {
	ctx, cancel := context.WithTimeout(ctx, stockflowtest.Generous)
	defer cancel()
	client, err := connectionTo(p).Client()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		still, err := isStill(ctx, admin, p.HTTP)
		switch {
		case err != nil:
			return fmt.Errorf("nothing came to rest: %w", err)
		case still:
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("nothing came to rest in time")
		case <-p.Ended:
			return errors.New("the process ended by itself")
		case <-tick.C:
		}
	}
}

func isStill(ctx context.Context, admin *kadm.Client, url string) (bool, error) {
	before, err := ends(ctx, admin)
	if err != nil {
		return false, err
	}
	lags, err := admin.Lag(ctx, groups...)
	if err != nil {
		return false, err
	}
	for _, group := range groups {
		if lag := lags[group]; lag.Error() != nil || lag.Lag.Total() > 0 {
			return false, lag.Error()
		}
	}
	var queued struct{ Items []json.RawMessage }
	if err := fetch(ctx, url+"/v1/notifications?status=queued&limit=1", &queued); err != nil || len(queued.Items) > 0 {
		return false, err
	}
	after, err := ends(ctx, admin)
	return before == after, err
}

// ends is how much there is in all logs and tables together.
func ends(ctx context.Context, admin *kadm.Client) (n int64, err error) {
	var topics []string
	for table, log := range tableLogs {
		topics = append(topics, table, log)
	}
	listed, err := admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	listed.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n, err
}

func fetch(ctx context.Context, url string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is answered with %d", url, a.StatusCode)
	}
	return json.NewDecoder(a.Body).Decode(into)
}

// shown is what HTTP says of all rows.
type shown struct {
	t                              testing.TB
	orders, stock, parcels, emails map[string]uint64 // checksums, by key
}

// httpRow is a row of any table.
type httpRow struct {
	OrderID string `json:"order_id"`
	SKU     string `json:"sku"`
	Status  string `json:"status"`
	Version int64  `json:"version"`
	Lines   []struct {
		SKU       string `json:"sku"`
		Quantity  int64  `json:"quantity"`
		Status    string `json:"status"`
		Allocated int64  `json:"allocated"`
	} `json:"lines"`
	Locations []struct {
		Location string `json:"location"`
		OnHand   int64  `json:"on_hand"`
		Reserved int64  `json:"reserved"`
	} `json:"locations"`
	Mails []struct {
		Kind     string `json:"kind"`
		Status   string `json:"status"`
		Attempts int64  `json:"attempts"`
	} `json:"mails"`
}

// listAll reads all lists to their ends.
func listAll(t testing.TB, url string) *shown {
	t.Helper()
	s := &shown{t: t, orders: map[string]uint64{}, stock: map[string]uint64{}, parcels: map[string]uint64{}, emails: map[string]uint64{}}
	for list, into := range map[string]map[string]uint64{"orders": s.orders, "inventory": s.stock, "shipments": s.parcels, "notifications": s.emails} {
		for cursor := "first"; cursor != ""; {
			var page struct {
				Items []httpRow `json:"items"`
				Next  string    `json:"next"`
			}
			path := url + "/v1/" + list + "?limit=200"
			if cursor != "first" {
				path += "&cursor=" + cursor
			}
			if err := fetch(t.Context(), path, &page); err != nil {
				t.Fatal(err)
			}
			for _, row := range page.Items {
				into[row.OrderID+row.SKU] = row.sum()
			}
			cursor = page.Next
		}
	}
	return s
}

// sum is the checksum that the ledger has for the same row.
func (r httpRow) sum() uint64 {
	text := describe(r.Status, r.Version)
	for _, l := range r.Lines {
		text = text.line(l.SKU, l.Quantity, l.Status, l.Allocated)
	}
	for _, l := range r.Locations {
		text = text.line(l.Location, l.OnHand, "", l.Reserved)
	}
	for _, m := range r.Mails {
		text = text.line(m.Kind, m.Attempts, m.Status, 0)
	}
	return text.sum()
}

// compare wants HTTP to say what the folds do, of every row, and returns how many there are.
func (s *shown) compare(l *ledger) (rows int64) {
	for _, list := range []struct {
		what  string
		http  map[string]uint64
		folds map[string]fact
	}{{"order", s.orders, l.orders}, {"stock of", s.stock, l.stock}, {"parcel of", s.parcels, l.parcels}, {"e-mails of", s.emails, l.mails}} {
		for key, f := range list.folds {
			if got, there := list.http[key]; there != (f.status != "") || there && got != f.text {
				l.addf("HTTP says another thing of the %s %s than its fold (there: %t)", list.what, key, there)
			}
			rows++
		}
		for key := range list.http {
			if _, known := list.folds[key]; !known {
				l.addf("HTTP has the %s %s, which has no fold", list.what, key)
			}
		}
	}
	return rows
}
