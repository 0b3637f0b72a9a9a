// Package replay folds the logs again, without goka: to prove that every table is the fold of its log, and to rebuild one
// that isn't. docs/replay.md says what each finds.
//
// It folds through engine.Machine.Admit and Take, as live processing does, by way of [Machine], whose rows are bytes. A
// partition at a time is folded by one goroutine, from its log's first message on, into a scratch: a map that is thrown
// away, in memory as far as there is room and beyond that on disk. So memory doesn't grow with the tables.
//
// verify.go begins, and ends.go finds up to where; part.go folds a partition, mark.go and check.go compare it with its table, served.go with what
// HTTP serves, which bodies.go keeps, and difference.go finds where rows part; drain.go folds in what was in transit, and cross_checks.go holds the tables
// against each other. rebuild.go writes what differs, and delivered.go finds where a group was whose offsets are lost. spill.go is the memory of a
// scratch, scratch.go puts the disk behind it.
package replay
