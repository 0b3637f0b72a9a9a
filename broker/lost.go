package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// CheckTables returns an error that names each table whose topic doesn't exist though its group has taken messages: made again
// and empty it would pass for the table, and whatever its rows had decided would be decided anew. tables are names of topics by
// those of groups. Ask before [Ensure] makes them. Of a topic that exists this knows nothing; [CheckIdentity] does, where it has been before.
func CheckTables(ctx context.Context, b Broker, tables map[string]string) error {
	if len(tables) == 0 {
		return nil
	}
	found, err := b.Topics(ctx, slices.Collect(maps.Values(tables))...)
	if err != nil {
		return fmt.Errorf("look for the tables' topics: %w", err)
	}
	var lost []string
	for group, table := range tables {
		if _, exists := found[table]; exists {
			continue
		}
		committed, err := b.Committed(ctx, group)
		if err != nil {
			return err
		}
		for p, at := range committed {
			if at > 0 {
				lost = append(lost, fmt.Sprintf("topic %s is gone, and its group has taken %s to offset %d", table, p, at))
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	return fmt.Errorf("tables were lost; stockflow replay makes them again from their logs:\n%s", strings.Join(lost, "\n"))
}

// ErrCut says that a log is shorter than what was taken from it: it was cut, or deleted and made again. Going on would drop new
// messages as repeats, or pass them over.
var ErrCut = errors.New("a log is shorter than what was taken from it")

// CheckCommitted returns an error, which is ErrCut, that names each partition of which a group has committed more than there
// is. What is written to it next would be passed over by the group, as it has that behind it. logs are the names of topics by
// those of groups.
func CheckCommitted(ctx context.Context, b Broker, logs map[string]string) error {
	var cut []string
	for group, log := range logs {
		committed, err := b.Committed(ctx, group)
		if err != nil {
			return err
		}
		ends, err := b.Ends(ctx, log)
		if err != nil {
			return err
		}
		for p, end := range ends {
			if committed[p] > end {
				cut = append(cut, fmt.Sprintf("the group %s has committed offset %d of %s, which ends at %d", group, committed[p], p, end))
			}
		}
	}
	if len(cut) == 0 {
		return nil
	}
	slices.Sort(cut)
	return fmt.Errorf("%w: %s", ErrCut, strings.Join(cut, "; "))
}
