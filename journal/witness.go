//go:build torture

package journal

import (
	"os"
	"strconv"

	"stockflow/journal/witness"
)

// This file and witness_off.go are what package torture has to change in the journal of a Stockflow that it kills: who builds without
// the tag torture gets neither.

// tortured returns the options of a journal that is to be killed: its files are so small that some are sealed all the time, who kills it
// sees what it does, and it has the flaw that the environment names.
func (o Options) tortured() Options {
	if n, err := strconv.ParseInt(os.Getenv("TORTURE_TAIL_BYTES"), 10, 64); err == nil && o.TailBytes == 0 {
		o.TailBytes, o.MaxTail = n, 16*n
	}
	switch os.Getenv("TORTURE_FLAW") {
	case "answerEarly":
		o.flaws.answerEarly = true
	case "reuseEarly":
		o.flaws.reuseEarly = true
	}
	o.Files = witness.Files(o.Files)
	return o
}
