package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// Answers of a Stockflow to receipts and adjustments, and to orders; and a file of stock.
const (
	tookIt      = `200 {"sku":"lamp"}`
	accepted    = `202 {"status":"accepted","see":"/v1/inventory/lamp"}`
	conflict    = `409 {"type":"urn:stockflow:problem:id_conflict","code":"id_conflict"}`
	isPending   = `202 {"order_id":"A","status":"pending"}`
	isConfirmed = `201 {"order_id":"A","status":"confirmed"}`
	isAway      = `503 {}`
	isBelowZero = `409 {"type":"urn:stockflow:problem:below_zero","code":"below_zero"}`
	threeLosses = "sku,quantity,reason,id\nlamp,-1,loss,a\nlamp,-2,loss,b\nlamp,-3,loss,c\n"
)

// scripted is a Stockflow that gives to each request, by its key or its order id, the answers that are written down for
// it, the last one for ever.
type scripted struct {
	*httptest.Server
	mu      sync.Mutex // guards what follows
	answers map[string][]string
	asked   map[string]int
}

func newScripted(t *testing.T, answers map[string][]string) *scripted {
	t.Helper()
	s := &scripted{answers: answers, asked: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	key := r.Header.Get("Idempotency-Key")
	var body struct {
		OrderID string `json:"order_id"`
	}
	if _ = json.NewDecoder(r.Body).Decode(&body); key == "" {
		key = body.OrderID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[key]++
	given := s.answers[key][min(s.asked[key], len(s.answers[key]))-1]
	status, text := 0, given[4:]
	_, _ = fmt.Sscan(given[:3], &status)
	w.Header().Set("Content-Type", "application/json")
	if status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func rejected(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file + ".rejects.csv")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
}

// TestAnOpenDecisionIsAskedForAgain: adjustments that the log has, while nobody decides them, and that are refused later.
func TestAnOpenDecisionIsAskedForAgain(t *testing.T) {
	s := newScripted(t, map[string][]string{
		"a": {accepted, isBelowZero}, "b": {accepted, accepted, tookIt}, "c": {accepted, isAway, conflict},
	})
	file := write(t, filepath.Join(t.TempDir(), "stock.csv"), threeLosses)
	got, err := Run(t.Context(), usual(Stock, file, s.URL))
	if err != nil || got.Adjustments != 1 || got.Refused != 2 || got.Pending != 0 || got.AllAccepted() {
		t.Errorf("got %+v %v", got, err)
	}
	want := []string{"2,below_zero,lamp,-1,loss,a", "4,id_conflict,lamp,-3,loss,c"}
	if rejects := rejected(t, file); !slices.Equal(rejects, want) {
		t.Errorf("the rejects are %q, expected %q", rejects, want)
	}
	if s.asked["a"] != 2 || s.asked["b"] != 3 || s.asked["c"] != 3 {
		t.Errorf("asked were %v", s.asked)
	}
}

// TestWhatIsNotDecidedInTimeIsNotLost: the run goes on, and says so of the row, in its count and at its end.
func TestWhatIsNotDecidedInTimeIsNotLost(t *testing.T) {
	s := newScripted(t, map[string][]string{"a": {tookIt}, "b": {accepted}, "c": {tookIt}, "A": {isPending}, "B": {isConfirmed}})
	for _, c := range []struct {
		kind, text string
		want       Counts
		rejects    []string
	}{
		{Stock, threeLosses, Counts{Rows: 3, Adjustments: 2, Pending: 1, Undecided: 1, UndecidedRows: 1}, []string{
			"3,\"pending: taken, and not decided within 0s; look at /v1/inventory/lamp before it is loaded again\",lamp,-2,loss,b",
		}},
		{Orders, "order_id,sku,quantity\nA,lamp,1\nA,desk,1\nB,lamp,1\n",
			Counts{Rows: 3, Orders: 2, Confirmed: 1, Pending: 1, Undecided: 1, UndecidedRows: 2}, []string{
				"2,\"pending: taken, and not decided within 0s; look at /v1/orders/A before it is loaded again\",A,lamp,1",
				"3,\"pending: taken, and not decided within 0s; look at /v1/orders/A before it is loaded again\",A,desk,1",
			}},
	} {
		o := usual(c.kind, write(t, filepath.Join(t.TempDir(), "x.csv"), c.text), s.URL)
		o.Patience = 0
		got, err := Run(t.Context(), o)
		if err != nil || got.Counts != c.want || !got.Done || got.AllAccepted() {
			t.Errorf("%s: got %+v %v", c.kind, got, err)
		}
		if rejects := rejected(t, o.File); !slices.Equal(rejects, c.rejects) {
			t.Errorf("%s: the rejects are\n%q, expected\n%q", c.kind, rejects, c.rejects)
		}
		want := fmt.Sprintf("0 rows were not taken, %d were not decided in time; they are in %s.rejects.csv with the reasons", c.want.UndecidedRows, o.File)
		if said := got.LeftOut(); said != want {
			t.Errorf("got %q, expected %q", said, want)
		}
	}
}

// TestOrdersThatAreNotWaitedFor are asked for once. That stock is waited for all the same is what the flag says.
func TestOrdersThatAreNotWaitedFor(t *testing.T) {
	s := newScripted(t, map[string][]string{"A": {isPending}, "a": {accepted, tookIt}})
	o := usual(Orders, write(t, filepath.Join(t.TempDir(), "o.csv"), "order_id,sku,quantity\nA,lamp,1\n"), s.URL)
	o.Wait = false
	if got, err := Run(t.Context(), o); err != nil || got.Pending != 1 || got.Undecided != 0 || !got.AllAccepted() || s.asked["A"] != 1 {
		t.Errorf("got %+v %v, asked were %v", got, err, s.asked)
	}
	o = usual(Stock, write(t, filepath.Join(t.TempDir(), "s.csv"), "sku,quantity,id\nlamp,1,a\n"), s.URL)
	o.Wait = false
	if got, err := Run(t.Context(), o); err != nil || got.Receipts != 1 || s.asked["a"] != 2 {
		t.Errorf("got %+v %v, asked were %v", got, err, s.asked)
	}
}

// clock is a time that passes only while somebody waits for it.
type clock struct {
	now    time.Time
	pauses []time.Duration
}

func (c *clock) after(d time.Duration) <-chan time.Time {
	c.now, c.pauses = c.now.Add(d), append(c.pauses, d)
	passed := make(chan time.Time, 1)
	passed <- c.now
	return passed
}

// turnstile counts who passes, and lets so many through.
type turnstile struct{ passed, most int }

var errClosed = errors.New("the turnstile is closed")

func (t *turnstile) Wait(context.Context) error {
	if t.passed == t.most {
		return errClosed
	}
	t.passed++
	return nil
}

// senderTo returns a sender for which no time passes but that of its pauses.
func senderTo(url string) (*sender, *clock) {
	s, c := newSender(usual(Stock, "x.csv", url)), &clock{}
	s.now, s.after = func() time.Time { return c.now }, c.after
	return s, c
}

func adjustment(key string) *entry {
	return &entry{rows: []fileRow{{line: 2}}, path: "/v1/inventory/lamp/adjustments", key: key, body: []byte("{}")}
}

// TestPatienceIsSpent, and no more than that; each pause is longer than the one before, up to a bound. What was taken at
// some time, and then could not be asked for any more, ends the run as what was never taken does.
func TestPatienceIsSpent(t *testing.T) {
	server := newScripted(t, map[string][]string{"a": {accepted}, "b": {accepted, isAway}})
	s, c := senderTo(server.URL)
	defer s.close()
	o, err := s.send(t.Context(), adjustment("a"))
	if err != nil || !strings.HasPrefix(o.undecided, "pending: taken, and not decided within 1m0s") {
		t.Errorf("got %+v %v", o, err)
	}
	var spent, longest time.Duration
	for i, d := range c.pauses {
		spent, longest = spent+d, max(longest, d)
		if most := min(firstBackoff<<i, lastBackoff); d < most/2 || d > most {
			t.Errorf("pause %d is %v, expected up to %v and half of that at least", i, d, most)
		}
	}
	if spent > s.patience || spent < s.patience-lastBackoff || server.asked["a"] != len(c.pauses)+1 {
		t.Errorf("%v were spent, in %d pauses, and it was asked for %d times", spent, len(c.pauses), server.asked["a"])
	}
	if o, err := s.send(t.Context(), adjustment("b")); err == nil || !strings.Contains(err.Error(), "did not take line 2 within 1m0s: the answer is 503") {
		t.Errorf("got %+v %v", o, err)
	}
}

// TestEveryRequestIsCountedByTheRate: those that are repeated too, and none is sent that the rate holds back.
func TestEveryRequestIsCountedByTheRate(t *testing.T) {
	server := newScripted(t, map[string][]string{"a": {isAway, accepted, tookIt}, "b": {isAway, tookIt}})
	s, _ := senderTo(server.URL)
	defer s.close()
	gate := &turnstile{most: 4}
	s.limiter = gate
	if o, err := s.send(t.Context(), adjustment("a")); err != nil || o.status != "taken" || gate.passed != 3 {
		t.Errorf("got %+v %v, %d passed", o, err, gate.passed)
	}
	if o, err := s.send(t.Context(), adjustment("b")); !errors.Is(err, errClosed) || server.asked["b"] != 1 {
		t.Errorf("got %+v %v, and %d requests came", o, err, server.asked["b"])
	}
}

// TestTheRate is one request after the other, at the distance that was asked for.
func TestTheRate(t *testing.T) {
	began := time.Unix(0, 0)
	for perSecond, distance := range map[float64]time.Duration{0: 0, 4: 250 * time.Millisecond, 0.5: 2 * time.Second} {
		o := usual(Stock, "x.csv", "http://127.0.0.1:1")
		o.Rate = perSecond
		limit := newSender(o).limiter.(*rate.Limiter)
		for n := range 4 {
			want := time.Duration(n) * distance
			if got := limit.ReserveN(began, 1).DelayFrom(began); math.Abs(float64(got-want)) > float64(time.Microsecond) {
				t.Errorf("at %v a second, request %d waits for %v, expected %v", perSecond, n, got, want)
			}
		}
	}
}
