// Package codecs is how everything is written down: events, rows, headers and dead letters.
//
// The schema is Protobuf, in the .proto files of this directory; internal/wire is generated from it. The machines
// know neither: this package turns the one into the other, at the edge, and checks what comes in from outside.
//
// Decoding is total. Whatever the bytes are, a decoder returns a value or an error and never panics, because goka
// ends the processor on an error and starts it again at the same record. An error text becomes the reason
// of a dead letter, so it names the field.
//
// Events are read leniently where Protobuf asks for it and strictly where a person errs: a field that is unknown is
// skipped in the binary form, where a newer program wrote it, and refused in JSON, where it is a slip of the pen.
//
// Encoding is deterministic. Equal rows are equal bytes, for as long as a log is kept: that is how a table is
// verified. Lists are written in the order they are given, which the machines keep sorted; there are no maps.
//
// All functions may be called at once.
package codecs

//go:generate sh -c "cd .. && go tool -modfile=tools/go.mod buf generate"
