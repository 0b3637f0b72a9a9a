package journal

// flaws switch parts of the protocol off, for the tests that show what each part is for. All are false but in tests.
type flaws struct {
	answerEarly  bool // a frame counts as durable before it is written
	ignoreErrors bool // a frame that could not be written counts as durable
	trustCache   bool // a start takes what it reads for durable, and writes nothing again
	oldEpochs    bool // a start takes frames of an older epoch behind those of a newer one
	reuseEarly   bool // a tail file is used again before the manifest says that it doesn't count
}
