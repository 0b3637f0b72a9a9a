package broker

import (
	"fmt"
	"testing"
)

// Names of headers are remembered, but not any number of them.
func TestNamesOfHeaders(t *testing.T) {
	var names headerNames
	for n := range 3 * maxHeaderNames {
		if want := fmt.Sprint("name ", n); names.name([]byte(want)) != want {
			t.Error(want)
		}
	}
	if len(names.known) != maxHeaderNames {
		t.Errorf("%d names are remembered", len(names.known))
	}
}
