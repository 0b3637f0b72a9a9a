package codecs

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"stockflow/codecs/internal/wire"
)

// RulesVersion is the highest number of rules that is known here, and the one that events are written under.
// A log may hold higher ones, from a newer program: then Decoded has that number and no Event.
const RulesVersion = 1

// maxDepth is more than any event needs, and little enough for any stack.
const maxDepth = 16

// logEvent is what the generated messages of the logs have in common.
type logEvent[M any] interface {
	*M
	proto.Message
	UnmarshalVT([]byte) error
	GetRules() uint32
}

// decode reads a value of a log: first the message, then what it says, by convert.
func decode[M any, P logEvent[M]](value []byte, convert func(P) (Decoded, Invalid)) (Decoded, error) {
	m := P(new(M))
	err := unmarshal(value, m)
	rules := max(1, m.GetRules())
	if err != nil {
		rules = max(1, rulesOf(value))
	}
	if rules > RulesVersion {
		return Decoded{RulesVersion: rules}, nil
	}
	if err != nil {
		return Decoded{}, err
	}
	d, invalid := convert(m)
	if len(invalid) > 0 {
		return Decoded{}, invalid
	}
	d.RulesVersion = rules
	return d, nil
}

// unmarshal reads either form. No binary message begins with a brace, as that would be a group.
func unmarshal[M any, P logEvent[M]](value []byte, m P) error {
	switch {
	case value == nil:
		return errors.New("no value")
	case len(value) == 0:
		return errors.New("the value is empty")
	case value[0] == '{':
		return readable("JSON", protojson.UnmarshalOptions{RecursionLimit: maxDepth}.Unmarshal(value, m))
	}
	return readable("Protobuf", m.UnmarshalVT(value))
}

// longestReason bounds an error text in bytes: the library quotes a name that it does not know, were it a megabyte.
const longestReason = 300

// readable says which form was tried, and mends the texts of the Protobuf library, which are made unstable on
// purpose: they begin with one of two kinds of blank, by chance. What they quote of the value may be a customer's address, and
// the text goes into the process's log.
func readable(form string, err error) error {
	if err == nil {
		return nil
	}
	text := RedactAddresses(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: "))
	if len(text) > longestReason {
		text = text[:longestReason] + "..."
	}
	return fmt.Errorf("not %s of this log: %s", form, valid(text))
}

// rulesOf returns the number of the rules of a value that is well formed, but not an event known here; else 0.
// A value that is not even well formed is poison, whatever it begins with, and stops nobody.
func rulesOf(value []byte) uint32 {
	if len(value) > 0 && value[0] == '{' {
		var e wire.Envelope
		if (protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxDepth}).Unmarshal(value, &e) != nil {
			return 0
		}
		return e.Rules
	}
	return binaryRulesVersion(value)
}

func binaryRulesVersion(value []byte) (rules uint32) {
	for len(value) > 0 {
		number, kind, n := protowire.ConsumeTag(value)
		if n < 0 {
			return 0
		}
		value = value[n:]
		if number == 1 && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(value)
			rules = uint32(v)
		}
		if n = protowire.ConsumeFieldValue(number, kind, value); n < 0 {
			return 0
		}
		value = value[n:]
	}
	return rules
}

// noEvent is the answer to a message of which no event is known: none was set, or one of a newer program.
func noEvent(names string) (Decoded, Invalid) {
	return Decoded{}, Invalid{{"event", "must be one of " + names}}
}

// emitted is an event that only machines write; its key is the record's alone.
func emitted(name string, event any, invalid Invalid) (Decoded, Invalid) {
	return Decoded{Type: name, Emitted: true, Event: event}, invalid
}

// written is an event that anybody may write. Its key may be in the value too, in keyField.
func written(name, keyField, key string, event any, invalid Invalid) (Decoded, Invalid) {
	invalid.add(keyField, optional(idProblem, key))
	return Decoded{Type: name, Key: key, Event: event}, invalid
}

// emptyList returns n messages, all from one piece of memory.
func emptyList[M any](n int) []*M {
	messages, list := make([]M, n), make([]*M, n)
	for i := range messages {
		list[i] = &messages[i]
	}
	return list
}

// mustMarshal returns the bytes of a message. Marshalling has no error of its own for the messages here,
// which hold no required fields and no types that are looked up.
func mustMarshal(m interface{ MarshalVT() ([]byte, error) }) []byte {
	value, err := m.MarshalVT()
	if err != nil {
		panic(fmt.Sprintf("codecs: marshalling %T: %v", m, err))
	}
	return value
}

// notOfTheLog is what encoders panic with: the event is not of the log's vocabulary, a mistake in the program.
func notOfTheLog(log string, event any) string {
	return fmt.Sprintf("codecs: %T is not an event of %s", event, log)
}
