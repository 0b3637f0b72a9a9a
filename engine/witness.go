//go:build torture

package engine

import (
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// This file and witness_off.go are what package torture has to change in a Stockflow that it kills: who builds without
// the tag torture gets neither.

// flushes counts the batches that were begun and ended, in a file that outlives a kill: whoever killed the process
// reads from it whether a batch was on its way to the disk. The file is named by the environment.
var flushes = openWitness(os.Getenv("TORTURE_WITNESS"))

type witness struct{ begun, ended atomic.Uint64 }

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

func flushBegins() { flushes.begun.Add(1) }
func flushEnds()   { flushes.ended.Add(1) }

// builtIn returns the flaw that the environment names: those who look for what breaks must find it.
func builtIn() flaws {
	switch flaw := os.Getenv("TORTURE_FLAW"); flaw {
	case "sendEarly":
		return flaws{sendEarly: true}
	case "storeEarly":
		return flaws{storeEarly: true}
	case "markEarly":
		return flaws{markEarly: true}
	case "":
		return flaws{}
	default:
		panic("there is no flaw " + flaw)
	}
}
