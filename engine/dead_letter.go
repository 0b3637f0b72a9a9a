package engine

import (
	"cmp"
	"crypto/sha256"
	"slices"

	"stockflow/codecs"
)

// maxCutHeaders is how many bytes of headers a letter has whose message is too large for one.
const maxCutHeaders = 64 << 10

// letter puts the message into the dead letters as it came, and says if it is skipped. The stream goes on.
func (d *delivery[S]) letter(reason string, skip *codecs.Skip) error {
	d.instance.metrics.letters.Inc()
	d.instance.log.Warn("a message became a dead letter", "topic", d.machine.Log, "partition", d.Partition, "offset", d.Offset, "reason", reason)
	l := codecs.DeadLetter{
		Topic: d.machine.Log, Partition: d.Partition, Offset: d.Offset, At: d.At,
		Key: []byte(d.Key), Value: d.Value, NoValue: d.Value == nil, Reason: reason, Skip: skip,
	}
	if d.Unreadable != "" && skip != nil {
		l.At = skip.Asked // there is no other time
	}
	for k, v := range d.headers {
		l.Headers = append(l.Headers, codecs.Header{Key: k, Value: v})
	}
	sortHeaders(l.Headers)
	key, value := x(l)
	if skip == nil {
		return d.emitLast(DeadLetters, key, deadLetterType, value)
	}
	return d.deferred(func(done func(error)) error { // to where it is looked for
		return d.emitTo(d.Partition, DeadLetters, key, deadLetterType, value, nil, done)
	})
}

const deadLetterType = "dead_letter"

// x writes a letter, or what there is room for.
func x(l codecs.DeadLetter) (key string, value []byte) {
	if len(l.Key)+len(l.Value) < maxDeadLetter {
		if value := codecs.EncodeDeadLetter(l); len(value) <= maxDeadLetter {
			return string(l.Key), value
		}
	}
	l = cut(l)
	return string(l.Key), codecs.EncodeDeadLetter(l)
}

// cut returns what is kept of a message that is too large for a letter.
func cut(l codecs.DeadLetter) codecs.DeadLetter {
	sum := sha256.Sum256(l.Value)
	c := &codecs.Cut{Size: int64(len(l.Value)), SHA256: sum[:]}
	all, size := l.Headers, 0
	l.Headers = nil
	for _, h := range all {
		if n := len(h.Key) + len(h.Value); size+n <= maxCutHeaders {
			l.Headers, size = append(l.Headers, h), size+n
		}
	}
	c.Headers = int32(len(all) - len(l.Headers))
	l.Key, l.Value = beginning(l.Key), beginning(l.Value)
	l.Cut = c
	return l
}

func beginning(b []byte) []byte { return b[:min(len(b), codecs.DeadLetterBytes)] }

func sortHeaders(h []codecs.Header) {
	slices.SortFunc(h, func(a, b codecs.Header) int { return cmp.Compare(a.Key, b.Key) })
}
