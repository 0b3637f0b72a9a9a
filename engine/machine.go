package engine

import "stockflow/codecs"

// Machine is a pure function with the log it reads and the table it keeps. S is the row without its head.
type Machine[S any] struct {
	Group        string   // the consumer group, "order"
	Log          string   // the one log it reads, "order-events"
	Table        string   // "order-table", which is Group + "-table", as goka names it
	Sends        []string // the logs that it sends to
	AcceptsFrom  []string // the logs whose machines send to Log
	RulesVersion uint32   // the highest number of rules that Apply knows

	// Decode reads a value of Log. It never panics; its error is the reason in a dead letter.
	Decode func(value []byte) (codecs.Decoded, error)
	// DecodeRow and EncodeRow read and write a row of Table. Equal rows are equal bytes.
	DecodeRow func(row []byte) (codecs.Head, S, error)
	EncodeRow func(codecs.Head, S) []byte
	// Apply folds one message into a row. It is pure: no clock, no randomness, no configuration, and it
	// leaves what state refers to as it was. at is the message's LogAppendTime in milliseconds since 1970.
	Apply func(state S, key string, at int64, m codecs.Decoded) Result[S]
	// Observe, if not nil, is told of every message that was taken live, for metrics: never of a replay. A message
	// whose effects a crash undid is told again.
	Observe func(before S, in Incoming, res Result[S])
}

// Result is what a message does.
type Result[S any] struct {
	State        S
	Outputs      []Output // to be sent in this order, and acknowledged before the row is
	Refusal      string   // why a command was refused, for whoever sent it; "" if it was taken
	Inapplicable string   // why no rule can take the message: it becomes a dead letter and the row stays; "" if one did
}

// Output is a message to another machine's log.
type Output struct {
	Log, Key string
	Type     string // as codecs.Decoded.Type
	Value    []byte
	Event    any // what Value says, for those who observe
}
