package replay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"stockflow/broker"
)

// ErrUncheckable says that the tables can't be folded again: what it would take is not there.
var ErrUncheckable = errors.New("the tables can't be folded again")

// extent is what a partition of a topic has.
type extent struct{ start, end int64 }

// collected is how far everything reaches. What is committed is asked for first and the logs' ends last, so that the
// outputs of what was committed lie before those ends, and so do the messages that any row seen in between took in. What
// caused a message before the ends lies before them too: see logEnds.
type collected struct {
	partitions int32
	committed  map[string][]int64 // by group; none is -1
	tables     map[string][]extent
	logs       map[string][]extent // dead letters among them
}

// collector asks a broker.
type collector struct{ conn broker.Broker }

// committed returns what groups have committed.
func (s collector) committed(ctx context.Context, machines []Machine, partitions int32) (map[string][]int64, error) {
	all := map[string][]int64{}
	for _, m := range machines {
		offsets, err := s.conn.Committed(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		all[m.Name] = make([]int64, partitions)
		for p := range partitions {
			at, ok := offsets[broker.TopicPartition{Topic: m.Log, Partition: p}]
			if !ok {
				at = -1
			}
			all[m.Name][p] = at
		}
	}
	return all, nil
}

// tables returns where tables begin and end. One that isn't there has no rows.
func (s collector) tables(ctx context.Context, machines []Machine, partitions int32) (map[string][]extent, error) {
	known, err := s.conn.Topics(ctx, tablesOf(machines)...)
	if err != nil {
		return nil, fmt.Errorf("asking for the tables: %w", err)
	}
	all := map[string][]extent{}
	var there []string
	for _, table := range tablesOf(machines) {
		if _, exists := known[table]; !exists {
			all[table] = make([]extent, partitions)
		} else {
			there = append(there, table)
		}
	}
	found, err := s.extents(ctx, there...)
	maps.Copy(all, found)
	return all, err
}

// extents returns where topics begin and end.
func (s collector) extents(ctx context.Context, topics ...string) (map[string][]extent, error) {
	starts, err := s.conn.Starts(ctx, topics...)
	if err != nil {
		return nil, err
	}
	ends, err := s.conn.Ends(ctx, topics...)
	if err != nil {
		return nil, err
	}
	all := map[string][]extent{}
	for p, end := range ends {
		list := all[p.Topic]
		if grow := int(p.Partition) + 1 - len(list); grow > 0 {
			list = append(list, make([]extent, grow)...)
		}
		list[p.Partition] = extent{starts[p], end}
		all[p.Topic] = list
	}
	return all, nil
}

// partitionsOf returns how many partitions the logs and the tables have, which all have the same number.
func (s collector) partitionsOf(ctx context.Context, machines []Machine) (int32, error) {
	logs := logsOf(machines)
	topics, err := s.conn.Topics(ctx, append(logs, tablesOf(machines)...)...)
	if err != nil {
		return 0, fmt.Errorf("asking for the logs and tables: %w", err)
	}
	for _, log := range logs {
		if _, exists := topics[log]; !exists {
			return 0, fmt.Errorf("asking for the logs: topic %s doesn't exist", log)
		}
	}
	n := topics[logs[0]].Partitions
	for name, t := range topics {
		if t.Partitions != n || n == 0 {
			return 0, fmt.Errorf("%w: %s has %d partitions and %s has %d", ErrUncheckable, logs[0], n, name, t.Partitions)
		}
	}
	return n, nil
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
