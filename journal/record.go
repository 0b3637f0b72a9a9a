package journal

import (
	"encoding/hex"
	"fmt"
)

// Position is a place in the one order of the journal: how many entries come before it. An entry is durable when its
// end, the position behind it, is at most [Journal.Durable].
type Position int64

// Horizon says how much of the journal a reader sees.
type Horizon uint8

// The horizons.
const (
	Appended Horizon = iota // all of it: for processors of this process
	Durable                 // what has been synced: for everything else
)

// Kind says which records of a topic are kept.
type Kind uint8

// The kinds of topics.
const (
	Log   Kind = iota + 1 // all, for ever
	Table                 // the newest of each key; one without value deletes the key
)

// String returns log or table.
func (k Kind) String() string {
	switch k {
	case Log:
		return "log"
	case Table:
		return "table"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// TopicID tells a topic from one that had its name in another journal.
type TopicID [16]byte

// String returns the id in hexadecimal.
func (id TopicID) String() string { return hex.EncodeToString(id[:]) }

// Topic is a set of partitions, numbered from 0.
type Topic struct {
	Name       string
	ID         TopicID
	Kind       Kind
	Partitions int32
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Record is one record of a partition. What a reader gets shares the journal's memory: it may be kept, and must not be
// changed. What is appended is copied.
type Record struct {
	Offset  int64 // in its partition, from 0; those of a table may have gaps
	Time    int64 // the journal's time of appending, in ms since 1970; never goes back over the whole journal
	Key     []byte
	Value   []byte // nil: none, which differs from empty; the same for keys
	Headers Headers
}

// Committed is how far a group has come in a partition.
type Committed struct {
	Offset   int64 // of the next record
	Metadata string
}
