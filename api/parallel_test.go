//go:build !race

package api

import (
	"flag"
	"os"
	"testing"
)

// TestMain has more tests side by side than there are processors, as those of a whole house wait most of the time. Under the race detector
// they have enough to do.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil { // what the command line says comes after it
		panic(err)
	}
	os.Exit(m.Run())
}
