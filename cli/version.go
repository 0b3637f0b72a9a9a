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
	_, err := fmt.Fprintf(stdout, "stockflow %s %s %s/%s\n", builtFrom(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// builtFrom is the version of the module that this binary was built from.
func builtFrom() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
