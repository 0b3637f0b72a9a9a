package progress_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stockflow/progress"
)

func TestWhatIsLeft(t *testing.T) {
	for want, got := range map[string]string{
		"2h46m": progress.Left(1_000, 1, 10*time.Second),
		"0m20s": progress.Left(2, 1, 10*time.Second),
		"?":     progress.Left(2, 0, time.Second),
	} {
		if got != want {
			t.Errorf("got %q, expected %q", got, want)
		}
	}
}

func TestABar(t *testing.T) {
	for share, filled := range map[float64]int{-1: 0, 0: 0, 0.5: 10, 1: 20, 7: 20} {
		if got := progress.Bar(share); strings.Count(got, "=") != filled || len(got) != 22 {
			t.Errorf("the bar of %v is %s", share, got)
		}
	}
}

func ExampleShow() {
	stop := progress.Show(nil, func(time.Duration, bool) string { return "half of it" })
	stop()
	fmt.Println(progress.Bar(0.5))
	// Output: [==========          ]
}
