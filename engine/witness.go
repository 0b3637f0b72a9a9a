//go:build torture

package engine

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// This file and witness_off.go are what package torture has to change in a Stockflow that it kills: who builds without
// the tag torture gets neither.

// flushes counts the batches that were begun and ended, in a file that outlives a kill: whoever killed the process
// reads from it whether a batch was on its way to the disk. The file is named by the environment.
var flushes = openWitness(os.Getenv("TORTURE_WITNESS"))

// A batch lasts for less than it takes to kill, so whoever kills can have the process wait for him, before it writes a
// batch or when it has.
type witness struct{ begun, ended, held atomic.Uint64 }

const (
	heldBefore = 1
	heldAfter  = 2
)

func (w *witness) wait(where uint64) {
	for w.held.Load() == where {
		time.Sleep(time.Millisecond)
	}
}

func openWitness(file string) *witness {
	if file == "" {
		return new(witness)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(unsafe.Sizeof(witness{})), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return (*witness)(unsafe.Pointer(&b[0]))
}

func flushBegins() {
	flushes.begun.Add(1)
	flushes.wait(heldBefore)
}

func flushEnds() {
	flushes.wait(heldAfter)
	flushes.ended.Add(1)
}

// builtIn returns the flaw that the environment names: those who look for what breaks must find it.
func builtIn() flaws {
	switch flaw := os.Getenv("TORTURE_FLAW"); flaw {
	case "sendEarly":
		return flaws{sendEarly: true}
	case "storeEarly":
		return flaws{storeEarly: true}
	case "markEarly":
		return flaws{markEarly: true}
	case "noRepair":
		return flaws{noRepair: true}
	case "":
		return flaws{}
	default:
		panic("there is no flaw " + flaw)
	}
}
