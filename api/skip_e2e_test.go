package api_test

import (
	"fmt"
	"testing"

	"stockflow/processors"
)

// TestAPartitionGoesOnBehindAMessage that it has stopped at, when it is told to, and at no other; the message is a letter then.
func TestAPartitionGoesOnBehindAMessage(t *testing.T) {
	h, _ := newRecords(t)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200)
	newer := h.write(processors.InventoryEvents, "lamp", []byte(`{"rules":9,"receive":{"quantity":1000}}`))
	id := fmt.Sprintf("inventory-events/%d/%d", newer.Partition, newer.Offset)
	h.until(func() (bool, string) {
		a := h.send("GET", "/readyz", "")
		return a.status == 503, a.text
	})
	behind := h.write(processors.InventoryEvents, "lamp", []byte(`{"receive":{"quantity":2}}`))
	path := fmt.Sprintf("/v1/logs/inventory-events/%d/skip", newer.Partition)
	for body, code := range map[string]string{
		fmt.Sprintf(`{"offset":%d}`, behind.Offset):      "not_stopped",
		fmt.Sprintf(`{"offset":%d}`, newer.Offset-1):     "not_stopped",
		fmt.Sprintf(`{"offset":%d}`, behind.Offset+1000): "not_stopped",
	} {
		h.want("POST", path, body, 409, "code="+code)
	}
	for _, wrong := range []string{"/v1/logs/inventory-events/1000/skip", "/v1/logs/inventory-events/x/skip", "/v1/logs/inventory-table/0/skip"} {
		h.want("POST", wrong, `{"offset":0}`, 404, "code=unknown_log")
	}
	h.want("POST", path, `{}`, 400)
	h.want("POST", path, `{"offset":-1}`, 400)

	skip := fmt.Sprintf(`{"offset":%d}`, newer.Offset)
	h.until(func() (bool, string) { // what is before it is committed in a moment
		a := h.send("POST", path, skip)
		return a.status == 200 && a.field("id") == id, a.text
	})
	h.want("POST", path, skip, 200, "id="+id)
	h.until(func() (bool, string) {
		a := h.send("GET", "/v1/inventory/lamp", "")
		return a.field("on_hand") == "7", a.text
	})
	h.want("GET", "/readyz", "", 200)
	h.until(func() (bool, string) { // the fold says the same
		a := h.send("GET", "/v1/rows/inventory/lamp", "")
		return a.status == 200 && a.field("offset") == fmt.Sprint(behind.Offset), a.text
	})
	a := h.want("GET", "/v1/dead-letters", "", 200)
	if items := a.items(); len(items) != 1 || items[0]["id"] != id || items[0]["skipped"] == nil {
		t.Errorf("the letters are %s", a.text)
	}
}
