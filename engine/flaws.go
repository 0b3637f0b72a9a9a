package engine

// flaws switch parts of the protocol off, for the tests that show what each part is for. All are false but in tests.
type flaws struct {
	sendEarly  bool // a row does not wait for the outputs emitted before it
	storeEarly bool // the store takes a row before the changelog has it, as goka's does
	markEarly  bool // an offset is marked when its own message is done, as goka does
	failSoft   bool // a failed message is left to goka, which commits it while stopping
	forgetSeen bool // a message that leaves a row's state as it was is not noted in seen
	noRepair   bool // a record of another owner's stays the last of its key
	sendInside bool // a promise of the client sends the rows that it lets go

	flushEarly  bool // a store takes to its disk what the disk of the changelog may not have
	commitEarly bool // the offset behind a message is committed when the message comes
}
