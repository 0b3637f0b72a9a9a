package codecs

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheDocumentationDecodes: every message that docs/integrate.md shows is one that its log takes.
func TestTheDocumentationDecodes(t *testing.T) {
	text, err := os.ReadFile("../docs/integrate.md")
	if err != nil {
		t.Fatal(err)
	}
	decoders := map[string]func([]byte) (Decoded, error){
		"order-events": DecodeOrderEvent, "inventory-events": DecodeInventoryEvent, "shipment-events": DecodeShipmentEvent,
	}
	blocks := regexp.MustCompile("(?s)```json ([a-z-]+)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	for _, block := range blocks {
		for line := range strings.Lines(block[2]) {
			if d, err := decoders[block[1]]([]byte(strings.TrimSpace(line))); err != nil || d.Event == nil {
				t.Errorf("%s does not take %s: %v", block[1], line, err)
			}
		}
	}
	if len(blocks) != len(decoders) {
		t.Errorf("there are examples for %d logs", len(blocks))
	}
}
