package codecs

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"stockflow/codecs/internal/wire"
)

// TestHeadIsAsInTheSchema: what is written by hand is what the generated message of head.proto reads, and writes itself.
func TestHeadIsAsInTheSchema(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := anyHead(t)
		b := appendHead(nil, h)
		var m wire.Head
		if err := m.UnmarshalVT(b); err != nil {
			t.Fatal(err)
		}
		if again := mustMarshal(&m); !bytes.Equal(again, b) {
			t.Fatalf("%+v is %x, and in the schema %x", h, b, again)
		}
		got := Head{Rebuilt: m.Rebuilt, Applied: m.Applied, Redriven: m.Redriven}
		for _, log := range m.Seen {
			for _, p := range log.Partitions {
				got.Seen = append(got.Seen, Origin{Log: log.Log, Partition: p.Partition, Offset: p.Offset, Index: p.Index})
			}
		}
		if !reflect.DeepEqual(got, h) {
			t.Fatalf("%+v is read as %+v", h, got)
		}
	})
}

// TestTakenIsAsInTheSchema does it for the header taken.
func TestTakenIsAsInTheSchema(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		taken := list(t, 3, func() Taken { return anyTaken(t) })
		b := EncodeTaken(taken)
		var m wire.TakenList
		if err := m.UnmarshalVT(b); err != nil {
			t.Fatal(err)
		}
		if again := mustMarshal(&m); !bytes.Equal(again, b) {
			t.Fatalf("%+v is %x, and in the schema %x", taken, b, again)
		}
		if got, err := DecodeTaken(b); err != nil || !reflect.DeepEqual(got, taken) {
			t.Fatalf("%+v is read as %+v, %v", taken, got, err)
		}
		for _, w := range m.Taken {
			for i, run := range w.Sent {
				if i > 0 && w.Sent[i-1].Log == run.Log {
					t.Fatalf("%+v names %s twice in a row", taken, run.Log)
				}
			}
		}
	})
}

func anyTaken(t *rapid.T) Taken {
	taken := Taken{Offset: rapid.Int64().Draw(t, "offset"), Refusal: rapid.String().Draw(t, "refusal"),
		Sent: list(t, 5, func() Sent {
			return Sent{Log: rapid.SampledFrom([]string{"", "inventory-events", "shipment-events"}).Draw(t, "log"), Key: rapid.String().Draw(t, "key")}
		})}
	if rapid.Bool().Draw(t, "caused") {
		taken.Origin = &Origin{Log: "order-events", Partition: rapid.Int32Min(0).Draw(t, "partition"),
			Offset: rapid.Int64Min(0).Draw(t, "offset of the cause"), Index: rapid.Int32Min(0).Draw(t, "index")}
	}
	return taken
}

// TestUnknownFieldsAreSkipped: a head of a newer program, which has more fields.
func TestUnknownFieldsAreSkipped(t *testing.T) {
	row := []byte{headField, 12, 0x08, 3, 0x28, 9, 0x35, 1, 2, 3, 4, 0x3a, 1, 'x'}
	row[1] = byte(len(row) - 2)
	if h, err := DecodeHead(row); err != nil || h.Rebuilt != 3 {
		t.Errorf("the head is read as %+v, %v", h, err)
	}
}
