package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"
)

// door is where a Stockflow can be asked at the moment, and whose view of the tables it has.
type door struct {
	mu        sync.Mutex // guards what follows
	url, view string
	moved     chan struct{} // closed, and replaced, when url is another
}

func newDoor() *door { return &door{moved: make(chan struct{})} }

func (d *door) open(url, view string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.url, d.view = url, view
	close(d.moved)
	d.moved = make(chan struct{})
}

func (d *door) look() (url, view string, moved <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.url, d.view, d.moved
}

// client is somebody who does one thing after the other, and insists on an answer to each.
type client struct {
	*books
	name string
	door *door
	http *http.Client
	rnd  *rand.Rand
	n    int      // things it has done
	own  []string // its latest orders
	ctx  context.Context
	life context.Context // when it ends, no answer is waited for any more
	assortment
}

func newClient(life context.Context, b *books, d *door, name string, seed, number uint64) *client {
	return &client{
		life: life, books: b, door: d, name: name, rnd: rand.New(rand.NewPCG(seed, number)),
		http: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2}},
	}
}

// work does one thing after the other until ctx ends, and the one that is begun to its end.
func (c *client) work(ctx context.Context, act func(*client)) {
	c.ctx = ctx
	defer c.http.CloseIdleConnections()
	for ctx.Err() == nil {
		act(c)
	}
}

func (c *client) act() {
	c.n++
	switch n := c.rnd.IntN(100); {
	case n < 45:
		c.place()
	case n < 53:
		c.command("cancel", "/v1/orders/%s/cancel", `{}`, "409 404")
	case n < 68:
		c.command("dispatch", "/v1/shipments/%s/dispatch", `{"carrier":"DHL","tracking_number":"1Z"}`, "409 404")
	case n < 76:
		c.command("deliver", "/v1/shipments/%s/deliver", `{}`, "409 404")
	case n < 88:
		c.move("receipts", 1+c.rnd.Int64N(30), "")
	case n < 93:
		c.move("adjustments", c.rnd.Int64N(16)-10, "count")
	case n < 97 && len(c.own) > 0:
		c.get("/v1/orders/" + c.someOrder())
	default:
		c.get("/v1/inventory/" + c.someSKU())
	}
}

// patience is how long a machine that is at work may take for a decision.
const patience = 30 * time.Second

// assortment is what there is to be had: so many SKUs, of which the first few are scarce. Everybody wants those, and
// hardly any come. And how many of ten customers have an e-mail address.
type assortment struct{ skus, scarce, mailed int }

var small, large = assortment{50, 6, 5}, assortment{1000, 0, 1}

func (c *client) someSKU() string {
	if c.scarce > 0 && c.rnd.IntN(3) == 0 {
		return sku(c.rnd.IntN(c.scarce))
	}
	return sku(c.rnd.IntN(c.skus))
}

func sku(n int) string { return fmt.Sprintf("s%03d", n) }

func (c *client) someOrder() string { return c.own[c.rnd.IntN(len(c.own))] }

// answer is what was answered in the end.
type answer struct {
	status int
	row    struct {
		OrderID string `json:"order_id"`
		Status  any    `json:"status"` // a problem has a number there
		Code    string `json:"code"`
		Version *int64 `json:"version"`
	}
	text  string
	sent  int    // how often
	seen  string // the row, as the view that has answered
	floor int64  // the highest version that was seen there before the request was sent
	token string // that says what was written
}

// insist sends a request until it is answered with something final. What may be sent again without harm is: everything
// has a key, or changes nothing the second time. A decision that is open for so long that it must have been lost is the
// last answer too.
func (c *client) insist(what, method, path, body string, open bool, headers ...string) answer {
	decided := time.Now().Add(patience)
	for sent := 1; ; sent++ {
		url, view, moved := c.door.look()
		seen := view + path
		floor := c.floor(seen)
		a, err := c.try(method, url+path, body, headers...)
		away := err != nil || a.status == http.StatusServiceUnavailable
		if away {
			decided = time.Now().Add(patience)
		}
		waits := open && a.status == http.StatusAccepted && time.Now().Before(decided)
		if !away && !waits {
			a.sent, a.seen, a.floor = sent, seen, floor
			c.answered(what, a.status)
			return a
		}
		if away {
			select {
			case <-moved:
			case <-c.life.Done():
				runtime.Goexit() // the test is over
			case <-time.After(time.Duration(1+c.rnd.IntN(30)) * time.Millisecond):
			}
		}
	}
}

func (c *client) try(method, url, body string, headers ...string) (a answer, err error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	got, err := c.http.Do(r)
	if err != nil {
		return a, err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return a, err
	}
	a.status, a.text, a.token = got.StatusCode, string(bytes.TrimSpace(text)), got.Header.Get("Stockflow-Token")
	if err := json.Unmarshal(text, &a.row); err != nil {
		return a, err
	}
	return a, nil
}

// place places an order; half of them have a name of the client's, half get theirs from the Idempotency-Key. Some are
// placed once more though they were answered, as by a client that has lost the answer.
func (c *client) place() {
	policy := []string{"all_or_nothing", "partial", "backorder"}[c.rnd.IntN(3)]
	units, lines := map[string]int64{}, []string{}
	for range 1 + c.rnd.IntN(4) {
		name, n := c.someSKU(), 1+c.rnd.Int64N(5)
		units[name] += n
		lines = append(lines, fmt.Sprintf(`{"sku":%q,"quantity":%d}`, name, n))
	}
	name, email := "", ""
	if c.rnd.IntN(2) == 0 {
		name = fmt.Sprintf(`"order_id":"o-%s-%d",`, c.name, c.n)
	}
	if c.rnd.IntN(10) < c.mailed {
		email = `,"email":"ada@example.org"`
	}
	body := fmt.Sprintf(`{%s"customer":{"id":"c-%s"%s},"policy":%q,"lines":[%s]}`, name, c.name, email, policy, strings.Join(lines, ","))
	headers := []string{fmt.Sprintf("Idempotency-Key: %s-%d", c.name, c.n)}
	if c.rnd.IntN(3) > 0 {
		headers = append(headers, "Prefer: wait=2")
	}
	for range 1 + c.rnd.IntN(10)/9 {
		a := c.insist("place", "POST", "/v1/orders", body, false, headers...)
		status, ok := a.row.Status.(string)
		if !ok || a.status != http.StatusCreated && a.status != http.StatusAccepted {
			c.wrongf("%s is answered with %d %s", body, a.status, a.text)
			return
		}
		c.tell(a.row.OrderID, status, placedSum(policy, units))
		c.remember(a.row.OrderID)
	}
}

func (c *client) remember(id string) {
	const latest = 50
	if c.own = append(c.own, id); len(c.own) > latest {
		c.own = c.own[1:]
	}
}

// command asks for something to be done with one of the client's own orders. It may be refused: with 409, or with 404
// while there is no parcel.
func (c *client) command(what, path, body, refusals string) {
	if len(c.own) == 0 {
		return
	}
	id := c.someOrder()
	a := c.insist(what, "POST", fmt.Sprintf(path, id), body, true)
	if a.status != http.StatusOK && !strings.Contains(refusals, fmt.Sprint(a.status)) || a.row.Code == "unknown_order" {
		c.wrongf("%s %s is answered with %d %s", what, id, a.status, a.text)
	}
	if what == "cancel" && a.status == http.StatusOK {
		status, _ := a.row.Status.(string)
		c.tell(id, status, 0)
	}
}

// move receives or adjusts.
func (c *client) move(what string, units int64, reason string) {
	if units == 0 {
		return
	}
	name := c.someSKU()
	if name < sku(c.scarce) {
		units = min(units, 4)
	}
	c.moveOf(name, what, units, reason)
}

func (c *client) moveOf(name, what string, units int64, reason string) {
	id := fmt.Sprintf("m-%s-%d", c.name, c.n)
	body := fmt.Sprintf(`{"quantity":%d}`, units)
	if reason != "" {
		body = fmt.Sprintf(`{"quantity":%d,"reason":%q}`, units, reason)
	}
	a := c.insist(what, "POST", "/v1/inventory/"+name+"/"+what, body, true, "Idempotency-Key: "+id)
	if a.status != http.StatusOK && (a.status != http.StatusConflict || reason == "") {
		c.wrongf("%s of %d for %s is answered with %d %s", what, units, name, a.status, a.text)
	}
	c.moved(id, move{sku: name, units: units, taken: a.status == http.StatusOK, sent: a.sent})
}

// get reads a row, which must not be older than one that was read before.
func (c *client) get(path string) {
	a := c.insist("get", "GET", path, "", false)
	switch {
	case a.status == http.StatusOK && a.row.Version != nil:
		c.saw(a.seen, *a.row.Version, a.floor)
	case a.status == http.StatusNotFound && a.floor == 0:
	default:
		c.wrongf("GET %s is answered with %d %s, and was there before", path, a.status, a.text)
	}
}
