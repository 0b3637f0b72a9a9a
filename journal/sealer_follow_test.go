package journal

import (
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"stockflow/journal/files/powercut"
)

// Whoever reads while files are sealed and merged sees every record, once, in order: from the tail and from the archive.
func TestFollowersSeeNoGapWhileFilesAreSealed(t *testing.T) {
	j, err := Open("data", Options{Files: powercut.New(), TailBytes: testTail, MaxTail: 8 * testTail, MaxRecent: testTail})
	if err != nil {
		t.Fatal(err)
	}
	const records = 800
	var group errgroup.Group
	for i, kind := range []Kind{Log, Table} {
		topic := fmt.Sprintf("topic-%d", i)
		if _, err := j.CreateTopic(topic, kind, 2); err != nil {
			t.Fatal(err)
		}
		for n := range int32(2) {
			p := j.Partition(topic, n)
			group.Go(func() error { return appendNumbers(p, records) })
			for _, h := range []Horizon{Appended, Durable} {
				group.Go(func() error { return followNumbers(t, p, h, records, 700) })
				group.Go(func() error { return rereadNumbers(t, p, h, records) })
			}
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.SealedFiles == 0 || s.Background != nil {
		t.Errorf("%+v", s)
	}
	if err := j.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func appendNumbers(p *Partition, n int) error {
	for i := range uint64(n) {
		value := binary.BigEndian.AppendUint64(make([]byte, 0, 200), i)
		if _, _, err := p.Append(Record{Key: value, Value: value[:200]}); err != nil {
			return err
		}
	}
	return nil
}

func followNumbers(t *testing.T, p *Partition, h Horizon, n, bytes int) error {
	c := p.Follow(0, h)
	for next := int64(0); next < int64(n); {
		rs, err := c.Next(t.Context(), bytes)
		if err != nil {
			return err
		}
		for _, r := range rs {
			if r.Offset != next || binary.BigEndian.Uint64(r.Value) != uint64(next) {
				return fmt.Errorf("%s: offset %d with %d, want %d", p, r.Offset, binary.BigEndian.Uint64(r.Value), next)
			}
			next++
		}
	}
	return nil
}

// rereadNumbers reads from the start again and again, until all is there.
func rereadNumbers(t *testing.T, p *Partition, h Horizon, n int) error {
	for next := int64(0); next < int64(n); {
		next = 0
		err := p.Read(t.Context(), 0, int64(n), h, func(r Record) error {
			if r.Offset != next {
				return fmt.Errorf("%s: offset %d, want %d", p, r.Offset, next)
			}
			next++
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
