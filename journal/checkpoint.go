package journal

import (
	"encoding/binary"
	"maps"
	"slices"
)

// A checkpoint is the first entry of each tail file: all that the entries before it come to, but for the records. So a
// start needs no file before the first that counts. It is, after the kind: the time, the end of the producer ids; the
// topics, with the next offset and the producers of each partition; the newest commits.

func (j *Journal) appendCheckpoint(b []byte) []byte {
	at := len(b)
	b = beginEntry(b, checkpointEntry)
	b = binary.AppendUvarint(b, uint64(j.time))
	b = binary.AppendUvarint(b, uint64(j.producerIDs.end))
	b = binary.AppendUvarint(b, uint64(len(j.inOrder)))
	for _, t := range j.inOrder {
		b = t.appendBody(b)
		for _, p := range t.partitions {
			b = binary.AppendUvarint(b, uint64(p.end[Appended]))
			b = p.appendProducers(b)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(j.commits[Appended])))
	for _, g := range slices.Sorted(maps.Keys(j.commits[Appended])) {
		b = commit{g, j.commits[Appended][g]}.appendBody(b)
	}
	endEntry(b, at)
	return b
}

// readCheckpoint begins with what a checkpoint says. The journal has nothing yet.
func (j *Journal) readCheckpoint(body []byte) error {
	d := &decoder{b: body}
	j.time = d.int64()
	j.producerIDs.end = d.int64()
	for range d.count() {
		t := readTopic(d)
		j.addTopic(t)
		for _, p := range t.partitions {
			p.unsealed = d.int64()
			p.end[Appended] = p.unsealed
			p.readProducers(d)
		}
	}
	for range d.count() {
		j.commit(readCommit(d))
	}
	return d.err()
}
