package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

const keyed = "Idempotency-Key: "

// TestAKeyIsForOneOrder, whether that has an id of its own or one that was derived from the key, at once and after a
// restart.
func TestAKeyIsForOneOrder(t *testing.T) {
	const line = `"lines":[{"sku":"lamp","quantity":1}]}`
	named := func(id string) string { return `{"order_id":"` + id + `",` + line }
	t.Parallel()
	dir := t.TempDir()
	h, stop := settle(t, dir)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":100}`, 200)
	type use struct{ body, key, want string }
	refused := []use{
		{named("o-2"), "k-1", `used for the order \"o-1\"`},
		{"{" + line, "k-1", `used for the order \"o-1\"`},
		{named("o-3"), "k-3", "key_conflict"},
	}
	taken := []use{
		{named("o-1"), "k-1", "o-1"},
		{named("o-1"), "k-1", "o-1"},
		{named("o-1"), "k-2", "o-1"}, // the id says which order it is
		{"{" + line, "k-3", "confirmed"},
		{"{" + line, "k-3", "confirmed"},
		{named("o-4"), "k-4", "o-4"},
	}
	token := ""
	place := func(status int, uses []use) {
		for _, u := range uses {
			a := h.insist(status, "POST", "/v1/orders", u.body, keyed+u.key, "Prefer: wait=10")
			if a.status != status || !strings.Contains(a.text, u.want) {
				t.Errorf("%s with the key %s is answered with %d %s, expected %d %s", u.body, u.key, a.status, a.text, status, u.want)
			}
			token = a.token()
		}
	}
	place(201, taken)
	place(409, refused)
	stop()
	h, stop = settle(t, dir)
	defer stop()
	place(409, refused) // nobody has said since whose they are
	place(201, taken)
	h.want("GET", "/v1/orders/o-2", "", 404)
	h.want("GET", "/v1/orders/o-3", "", 404)
	h.want("GET", "/v1/inventory/lamp?wait=10&after="+token, "", 200, "reserved=3")
}

// TestAKeyIsForTheOrderThatWasPlacedWithItFirst: not for one that was there before with another key or without one, and not for
// one that was refused. The answers are the same after a restart.
func TestAKeyIsForTheOrderThatWasPlacedWithItFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, stop := settle(t, dir)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":100}`, 200)
	place := func(id string, quantity int, key string, status int, want string) {
		t.Helper()
		body := fmt.Sprintf(`{"order_id":%q,"lines":[{"sku":"lamp","quantity":%d}]}`, id, quantity)
		a := h.insist(status, "POST", "/v1/orders", body, keyed+key, "Prefer: wait=10")
		if a.status != status || !strings.Contains(a.text, want) {
			t.Errorf("%s of %d with the key %s is answered with %d %s, expected %d %s", id, quantity, key, a.status, a.text, status, want)
		}
	}
	h.want("POST", "/v1/orders", `{"order_id":"bare","lines":[{"sku":"lamp","quantity":1}]}`, 201)
	place("o-1", 1, "k-1", 201, "o-1")
	place("o-1", 1, "k-2", 201, "o-1")
	place("bare", 1, "k-3", 201, "bare")
	place("o-1", 2, "k-4", 409, "id_conflict")
	for range 2 {
		place("o-2", 1, "k-2", 201, "o-2")
		place("o-3", 1, "k-3", 201, "o-3")
		place("o-4", 1, "k-4", 201, "o-4")
		place("o-1", 1, "k-1", 201, "o-1")
		place("o-1", 2, "k-1", 409, "id_conflict")
		place("o-1", 1, "k-2", 409, `used for the order \"o-2\"`)
		place("bare", 1, "k-3", 409, `used for the order \"o-3\"`)
		place("o-5", 1, "k-1", 409, `used for the order \"o-1\"`)
		stop()
		h, stop = settle(t, dir)
	}
	defer stop()
	h.want("GET", "/v1/orders/o-5", "", 404)
}

// TestAKeyThatIsUsedForManyOrdersAtOnceMakesOne, and the others are told which.
func TestAKeyThatIsUsedForManyOrdersAtOnceMakesOne(t *testing.T) {
	h := newHouse(t)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":100}`, 200)
	var running sync.WaitGroup
	tokens := make(chan string, 8)
	for _, id := range strings.Fields("a b c d e f g h") {
		running.Go(func() {
			a := h.insist(201, "POST", "/v1/orders", `{"order_id":"`+id+`","lines":[{"sku":"lamp","quantity":1}]}`, keyed+"k", "Prefer: wait=10")
			if a.status == 201 {
				tokens <- a.token()
			} else if a.field("code") != "key_conflict" {
				t.Errorf("order %s is answered with %d %s", id, a.status, a.text)
			}
		})
	}
	running.Wait()
	close(tokens)
	h.want("GET", "/v1/inventory/lamp?wait=10&after="+<-tokens, "", 200, "reserved=1")
}
