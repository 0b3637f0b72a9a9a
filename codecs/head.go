package codecs

// Head is the engine's part of every row: what the row has taken in.
type Head struct {
	// Rebuilt counts the replays that had to write the row. A row with a higher count is newer whatever its Applied.
	Rebuilt int64
	// Applied is the offset of the last message of the table's log that the row took in; -1 before the first.
	Applied int64
	// Seen is, for each partition that machines sent from, the highest origin taken in; sorted by log, then partition.
	Seen []Origin
	// Redriven are the ids of the last dead letters that were sent again, as hashes, oldest first.
	Redriven []uint64
}

// Origin says which message, of which log, caused a message, and which of its outputs that was.
type Origin struct {
	Log       string
	Partition int32
	Offset    int64
	Index     int32 // 0 for the first output of a message
}

// Newer reports whether a row with head h is newer than one with head o.
func (h Head) Newer(o Head) bool {
	if h.Rebuilt != o.Rebuilt {
		return h.Rebuilt > o.Rebuilt
	}
	return h.Applied > o.Applied
}

// Decoded is the value of a record of a log. If its Rules are above the constant Rules, nothing else of it is set.
type Decoded struct {
	Type         string // the name of the event in the schema: "placed", "reserve", ...
	Key          string // the key that the value itself names, "" if it names none
	RulesVersion uint32 // the number of the rules it was written under; 1 if the value has none
	Emitted      bool   // only machines write this type, so it must carry an origin
	Event        any    // a type of the machine's vocabulary, by value: order.Placed, inventory.Reserve, ...
}

// Taken is what became of one message that a row took in. A changelog record carries a list of them, as
// several messages may have gone into one record.
type Taken struct {
	Offset  int64   // of the message in the table's log
	Refusal string  // why it was refused, "" if it was not
	Origin  *Origin // which message caused it; nil if it came from outside
	Sent    []Sent  // what it sent, in order; the index is the output's in its origin
}

// Sent is where an output of a message went.
type Sent struct {
	Log, Key string
}

// DeadLetter is a message that could not be taken, as it was, and why. Topic, Partition and Offset are its name: one that
// is in the log twice is one letter.
type DeadLetter struct {
	Topic     string
	Partition int32
	Offset    int64
	At        int64 // when its log took it in, in milliseconds since 1970
	Key       []byte
	Value     []byte
	NoValue   bool // it had no value at all, which is not the same as an empty one
	Headers   []Header
	Reason    string
	// Redrive, if not nil, makes this a note in the same log: the letter of that name was sent again. Of the other fields
	// a note has At and Key, as the letter has them, so that it lies behind the letter in its partition.
	Redrive *Redrive
	// Cut, if not nil, says that the message was too large for a letter: Key and Value are cut to [LetterBytes], and headers
	// were left out.
	Cut *Cut
	// Skip, if not nil, says that somebody wanted the partition to go on behind the message, though it could not even be put
	// aside. One that is done is a letter, whose message every fold leaves out. One that is not is a request, with nothing
	// else but the name.
	Skip *Skip
}

// DeadLetterBytes is how much a letter has of the key and the value of a message that is too large for one.
const DeadLetterBytes = 1 << 10

// Cut is what there was of a message beside what its letter has.
type Cut struct {
	Size    int64  // of the value, in bytes
	SHA256  []byte // of the value
	Headers int32  // how many were left out
}

// Skip says that a partition goes on behind a message.
type Skip struct {
	Asked int64 // in milliseconds since 1970
	Done  bool
}

// IsMessage reports whether d is a letter, and neither the note of a redrive nor a request to skip.
func (d DeadLetter) IsMessage() bool { return d.Redrive == nil && (d.Skip == nil || d.Skip.Done) }

// Redrive says how a dead letter was sent again.
type Redrive struct {
	ID        string // the message's header redrive
	Repaired  bool   // another value was sent than the letter's
	Partition int32  // where it is now, in the letter's topic
	Offset    int64
}

// Header is a header of a record.
type Header struct {
	Key   string
	Value []byte
}
