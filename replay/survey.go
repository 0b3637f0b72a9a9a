package replay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrUncheckable says that the tables can't be folded again: what it would take is not there.
var ErrUncheckable = errors.New("the tables can't be folded again")

// extent is what a partition of a topic has.
type extent struct{ start, end int64 }

// survey is how far everything reaches. What is committed is asked for first and the logs' ends last, so that the
// outputs of what was committed lie before those ends, and so do the messages that any row seen in between took in. What
// caused a message before the ends lies before them too: see logEnds.
type survey struct {
	partitions int32
	committed  map[string][]int64 // by group; none is -1
	tables     map[string][]extent
	logs       map[string][]extent // dead letters among them
}

// surveyor asks a broker.
type surveyor struct{ admin *kadm.Client }

// committed returns what groups have committed.
func (s surveyor) committed(ctx context.Context, machines []Machine, partitions int32) (map[string][]int64, error) {
	all := map[string][]int64{}
	for _, m := range machines {
		offsets, err := s.admin.FetchOffsets(ctx, m.Name)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that never was has committed nothing
			return nil, fmt.Errorf("asking what the group %s has committed: %w", m.Name, err)
		}
		all[m.Name] = make([]int64, partitions)
		for p := range partitions {
			all[m.Name][p] = -1
			o, ok := offsets.Lookup(m.Log, p)
			if ok && o.Err != nil { // not the same as none
				return nil, fmt.Errorf("asking what the group %s has committed of %s/%d: %w", m.Name, m.Log, p, o.Err)
			}
			if ok {
				all[m.Name][p] = o.At
			}
		}
	}
	return all, nil
}

// tables returns where tables begin and end. One that isn't there has no rows.
func (s surveyor) tables(ctx context.Context, machines []Machine, partitions int32) (map[string][]extent, error) {
	known, err := s.admin.ListTopics(ctx, tablesOf(machines)...)
	if err != nil {
		return nil, fmt.Errorf("asking for the tables: %w", err)
	}
	all := map[string][]extent{}
	var there []string
	for _, table := range tablesOf(machines) {
		if errors.Is(known[table].Err, kerr.UnknownTopicOrPartition) {
			all[table] = make([]extent, partitions)
		} else {
			there = append(there, table)
		}
	}
	if len(there) == 0 {
		return all, nil // to ask for none would be to ask for all
	}
	found, err := s.extents(ctx, there...)
	maps.Copy(all, found)
	return all, err
}

// extents returns where topics begin and end.
func (s surveyor) extents(ctx context.Context, topics ...string) (map[string][]extent, error) {
	starts, err := s.admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking where %v begin: %w", topics, err)
	}
	ends, err := s.admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking where %v end: %w", topics, err)
	}
	all := map[string][]extent{}
	ends.Each(func(e kadm.ListedOffset) {
		start, _ := starts.Lookup(e.Topic, e.Partition)
		list := all[e.Topic]
		if grow := int(e.Partition) + 1 - len(list); grow > 0 {
			list = append(list, make([]extent, grow)...)
		}
		list[e.Partition] = extent{start.Offset, e.Offset}
		all[e.Topic] = list
	})
	return all, nil
}

// partitionsOf returns how many partitions the logs and the tables have, which all have the same number.
func (s surveyor) partitionsOf(ctx context.Context, machines []Machine) (int32, error) {
	topics, err := s.admin.ListTopics(ctx, logsOf(machines)...)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("asking for the logs: %w", err)
	}
	tables, err := s.admin.ListTopics(ctx, tablesOf(machines)...)
	if err != nil {
		return 0, fmt.Errorf("asking for the tables: %w", err)
	}
	for _, t := range tables {
		switch {
		case t.Err == nil:
			topics[t.Topic] = t
		case !errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			return 0, fmt.Errorf("asking for %s: %w", t.Topic, t.Err)
		}
	}
	n := len(topics[machines[0].Log].Partitions)
	for _, t := range topics {
		if len(t.Partitions) != n || n == 0 {
			return 0, fmt.Errorf("%w: %s has %d partitions and %s has %d", ErrUncheckable, machines[0].Log, n, t.Topic, len(t.Partitions))
		}
	}
	return int32(n), nil
}

func logsOf(machines []Machine) []string {
	var logs []string
	for _, m := range machines {
		logs = append(logs, m.Log)
	}
	return logs
}

func tablesOf(machines []Machine) []string {
	var tables []string
	for _, m := range machines {
		tables = append(tables, m.Table)
	}
	return tables
}

// whole insists that logs are there from their first record on.
func whole(logs map[string][]extent, topics ...string) error {
	var wrong []error
	for _, topic := range topics {
		for p, e := range logs[topic] {
			if e.start > 0 {
				wrong = append(wrong, fmt.Errorf("%w: %s/%d begins at offset %d, what came before has expired", ErrUncheckable, topic, p, e.start))
			}
		}
	}
	return errors.Join(wrong...)
}

// Choose returns the machines of tables by their names, "order" or "order-table"; all for none.
func Choose(names ...string) ([]Machine, error) {
	if len(names) == 0 {
		return Machines, nil
	}
	var chosen []Machine
	for _, name := range names {
		i := slices.IndexFunc(Machines, func(m Machine) bool { return m.Name == name || m.Table == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no table %q; there are %v", name, tablesOf(Machines))
		}
		if !slices.ContainsFunc(chosen, func(m Machine) bool { return m.Name == Machines[i].Name }) {
			chosen = append(chosen, Machines[i])
		}
	}
	return chosen, nil
}

func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// numberOf reads what number wrote; nothing is 0.
func numberOf(b []byte) int64 {
	if len(b) < 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// letterKey is how a scratch names a dead letter.
func letterKey(topic string, partition int32, offset int64) string {
	return fmt.Sprintf("%s/%d/%d", topic, partition, offset)
}
