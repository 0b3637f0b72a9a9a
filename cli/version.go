package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version prints what this binary was built from.
type version struct{}

// Run prints one line.
func (version) Run(stdout io.Writer) error {
	v := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	_, err := fmt.Fprintf(stdout, "stockflow %s %s %s/%s\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
