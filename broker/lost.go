package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// CheckTables returns an error that names each table whose topic doesn't exist though its group has taken messages: made again
// and empty it would pass for the table, and whatever its rows had decided would be decided anew. tables are names of topics by
// those of groups. Ask before [Ensure] makes them. Of a topic that exists this knows nothing; [CheckIdentity] does, where it has been before.
func CheckTables(ctx context.Context, c Connection, tables map[string]string) error {
	if len(tables) == 0 {
		return nil
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	found, err := admin.ListTopics(ctx, slices.Collect(maps.Values(tables))...)
	if err != nil {
		return fmt.Errorf("look for the tables' topics: %w", err)
	}
	var lost []string
	for group, table := range tables {
		if !errors.Is(found[table].Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		committed, err := admin.FetchOffsets(ctx, group)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return fmt.Errorf("read what group %s has committed: %w", group, err)
		}
		committed.Each(func(o kadm.OffsetResponse) {
			if o.At > 0 {
				lost = append(lost, fmt.Sprintf("topic %s is gone, and its group has taken %s/%d to offset %d", table, o.Topic, o.Partition, o.At))
			}
		})
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	return fmt.Errorf("tables were lost; stockflow replay makes them again from their logs:\n%s", strings.Join(lost, "\n"))
}
