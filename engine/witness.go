//go:build torture

package engine

import (
	"os"

	"stockflow/journal/witness"
)

// This file and witness_off.go are what package torture has to change in an engine that it kills: who builds without
// the tag torture gets neither.

// A batch lasts for less than it takes to kill, so whoever kills can have the process wait for him, before it writes a
// batch or when it has.
func flushBegins() { witness.Begin(witness.Flush) }
func flushEnds()   { witness.End(witness.Flush) }

// rowGoes is passed when the outputs of a message are in their logs and its row is not yet.
func rowGoes() { witness.Pass(witness.Row) }

// builtIn returns the flaw that the environment names: those who look for what breaks must find it. Some are the journal's.
func builtIn() flaws {
	switch os.Getenv("TORTURE_FLAW") {
	case "sendEarly":
		return flaws{sendEarly: true}
	case "storeEarly":
		return flaws{storeEarly: true}
	case "markEarly":
		return flaws{markEarly: true}
	case "noRepair":
		return flaws{noRepair: true}
	}
	return flaws{}
}
