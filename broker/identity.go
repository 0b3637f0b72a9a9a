package broker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"stockflow/journal/files"
)

// memory is what stands in the file: the topics as they were, by name.
type memory struct {
	Topics map[string]remembered `json:"topics"`
}

// remembered is a topic as it was: its id, which a topic made again doesn't share, and the end of each partition.
type remembered struct {
	ID   string  `json:"id"`
	Ends []int64 `json:"ends"`
}

// ErrOtherTopics says that topics are not what they were.
var ErrOtherTopics = errors.New("these are not the topics that the tables were made from")

// CheckIdentity compares the topics with what [Remember] wrote into file. Rows say which offsets they took in; on
// other topics, or on logs that were cut, that would be a lie, and messages would be dropped as seen. So the error names each
// topic that is gone, was made again, or ends before where it ended, with partition and both offsets.
//
// Topics that the file doesn't have are new, and fine; so is a file that doesn't exist. A log that no longer begins
// at its beginning is a warning: its table is right, but can't be folded again.
func CheckIdentity(ctx context.Context, b Broker, fsys files.FS, file string, topics []Topic) (warnings []string, err error) {
	before, err := recall(fsys, file)
	if err != nil {
		return nil, err
	}
	now, err := observe(ctx, b, topics)
	if err != nil {
		return nil, err
	}
	var wrong []error
	for _, t := range topics {
		if old, known := before.Topics[t.Name]; known {
			wrong = append(wrong, old.compare(t.Name, now[t.Name]))
		}
		if t.Kind == Log {
			warnings = append(warnings, now[t.Name].expired(t.Name)...)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return warnings, fmt.Errorf("%w (as remembered in %s):\n%w", ErrOtherTopics, file, err)
	}
	return warnings, nil
}

// Remember writes the topics' ids and ends into file, for CheckIdentity at the next start. Call it after
// CheckIdentity, and again from time to time: a cut is noticed down to the last call. When it returns, the file is on
// the disk; if the process dies before, the file is as it was.
func Remember(ctx context.Context, b Broker, fsys files.FS, file string, topics []Topic) error {
	all, err := recall(fsys, file)
	if err != nil {
		return err
	}
	now, err := observe(ctx, b, topics)
	if err != nil {
		return err
	}
	for name, t := range now {
		if t.exists {
			all.Topics[name] = remembered{ID: t.id, Ends: t.ends}
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := files.Replace(fsys, file, append(text, '\n')); err != nil {
		return fmt.Errorf("remember the topics in %s: %w", file, err)
	}
	return nil
}

func recall(fsys files.FS, file string) (memory, error) {
	text, err := files.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return memory{Topics: make(map[string]remembered)}, nil
	}
	var m memory
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && m.Topics == nil {
		err = errors.New("it has no topics")
	}
	if err != nil {
		return m, fmt.Errorf("read which topics there were from %s: %w; remove the file to accept the topics as they are", file, err)
	}
	return m, nil
}

// observed is a topic as it is.
type observed struct {
	exists       bool
	id           string
	starts, ends []int64 // by partition
}

// compare returns what is wrong with a topic that should be the old one.
func (old remembered) compare(name string, now observed) error {
	switch {
	case !now.exists:
		return fmt.Errorf("topic %s is gone", name)
	case now.id != old.ID:
		return fmt.Errorf("topic %s was deleted and made again: its id was %s and is %s%s", name, old.ID, now.id, old.firstCut(now))
	}
	var wrong []error
	for p, end := range old.Ends {
		if p >= len(now.ends) {
			wrong = append(wrong, fmt.Errorf("topic %s has lost partition %d, which ended at %d", name, p, end))
		} else if now.ends[p] < end {
			wrong = append(wrong, fmt.Errorf("topic %s, partition %d was cut: it ended at %d and ends at %d", name, p, end, now.ends[p]))
		}
	}
	return errors.Join(wrong...)
}

// firstCut names the first partition that is shorter than it was, "" if there is none.
func (old remembered) firstCut(now observed) string {
	for p, end := range old.Ends {
		if p < len(now.ends) && now.ends[p] < end {
			return fmt.Sprintf("; partition %d ended at %d and ends at %d", p, end, now.ends[p])
		}
	}
	return ""
}

func (o observed) expired(name string) (warnings []string) {
	for p, start := range o.starts {
		if start > 0 {
			warnings = append(warnings, fmt.Sprintf("topic %s, partition %d: its start has expired, the first message is at %d; "+
				"its table can't be folded again from the beginning", name, p, start))
		}
	}
	return warnings
}

// observe returns the topics as they are, by name.
func observe(ctx context.Context, b Broker, topics []Topic) (map[string]observed, error) {
	found, err := b.Topics(ctx, names(topics)...)
	if err != nil {
		return nil, fmt.Errorf("look at the topics: %w", err)
	}
	there := slices.Collect(maps.Keys(found))
	starts, errStarts := b.Starts(ctx, there...)
	ends, errEnds := b.Ends(ctx, there...)
	if err := errors.Join(errStarts, errEnds); err != nil {
		return nil, err
	}
	all := make(map[string]observed, len(found))
	for name, d := range found {
		o := observed{exists: true, id: d.ID, starts: make([]int64, d.Partitions), ends: make([]int64, d.Partitions)}
		for p := range d.Partitions {
			at := TopicPartition{name, p}
			o.starts[p], o.ends[p] = starts[at], ends[at]
		}
		all[name] = o
	}
	return all, nil
}

// DeploymentID returns what no other set of logs has: it changes only when one of the logs is deleted and made again. It is
// the same for all processes on these logs, and not a secret to them.
func DeploymentID(ctx context.Context, b Broker, topics []Topic) ([]byte, error) {
	seen, err := observe(ctx, b, topics)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, t := range topics {
		if t.Kind == Log {
			fmt.Fprintf(h, "%s %s\n", t.Name, seen[t.Name].id)
		}
	}
	return h.Sum(nil), nil
}
