package benchmarks

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkOrder is one order after the other on an idle server, each from the request to the answer that it is
// confirmed (Prefer: wait). Every write on its way is on the disk before it counts.
func BenchmarkOrder(b *testing.B) {
	for _, lines := range []int{1, 5} {
		b.Run(fmt.Sprintf("lines=%d", lines), func(b *testing.B) {
			s := openShop(b, 100)
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				s.place("", len(took)*lines, lines, 201, "Prefer: wait=5")
				took = append(took, time.Since(began))
			}
			reportPercentiles(b, took)
		})
	}
}

func reportPercentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	for _, percent := range []int{50, 95, 99} {
		at := took[min(len(took)*percent/100, len(took)-1)]
		b.ReportMetric(at.Seconds()*1000, fmt.Sprintf("p%d-ms", percent))
	}
}
