package order

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"stockflow/machines/inventory"
)

// place makes the row and asks for the stock of every line. The same placement once more, as a retry sends
// it, changes nothing, whatever has become of the order since.
func (t *step) place(e Placed) {
	lines := summed(e.Lines)
	content := fingerprint(e, lines)
	if t.row.Status != None {
		if content != t.row.Fingerprint {
			t.refusal = RefusalIDConflict
		}
		return
	}
	t.row = State{
		Policy: e.Policy, Customer: e.Customer, ShipTo: e.ShipTo,
		Lines: lines, Fingerprint: content, RepeatKey: e.RepeatKey,
	}
	for _, l := range lines {
		ask := inventory.Reserve{OrderID: t.id, Quantity: l.Quantity, Mode: modes[e.Policy]}
		t.send(ToInventory, l.SKU, ask)
	}
	t.become(Pending)
}

// modes are how each policy asks for stock.
var modes = [...]inventory.Mode{AllOrNothing: inventory.Exact, Partial: inventory.UpTo, Backorder: inventory.OrQueue}

// summed returns one line a SKU, sorted by SKU. A SKU is asked for once, so that its answers can't be
// taken for one another.
func summed(placed []PlacedLine) []Line {
	placed = slices.Clone(placed)
	slices.SortFunc(placed, func(a, b PlacedLine) int { return strings.Compare(a.SKU, b.SKU) })
	var lines []Line
	for _, p := range placed {
		if last := len(lines) - 1; last >= 0 && lines[last].SKU == p.SKU {
			lines[last].Quantity += p.Quantity
			continue
		}
		lines = append(lines, Line{SKU: p.SKU, Quantity: p.Quantity})
	}
	return lines
}

// fingerprint is the start of a SHA-256 over what makes two placements the same order: a line that was split
// or moved makes no difference. Each text is led by its length, so that no two contents are written alike. It is
// kept in rows, so what goes into it may never change.
func fingerprint(e Placed, lines []Line) [16]byte {
	var b []byte
	for _, text := range []string{e.Customer.ID, e.Customer.Name, e.Customer.Email, e.ShipTo} {
		b = appendText(b, text)
	}
	b = append(b, byte(e.Policy))
	for _, l := range lines {
		b = appendText(b, l.SKU)
		b = binary.AppendVarint(b, l.Quantity)
	}
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}
