package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrMembers says that somebody processes.
var ErrMembers = errors.New("the group has members")

// nobodyYet is nobody before anything is written.
func (w *work) nobodyYet(ctx context.Context) error {
	if err := w.admin.nobody(ctx, w.Machines); err != nil {
		return fmt.Errorf("%w; stop them first", err)
	}
	return nil
}

// nobodyMeanwhile is nobody after rows were written. No fence keeps a process out that starts while they are: it may have read
// the table before they came, and write its own rows behind them.
func (w *work) nobodyMeanwhile(ctx context.Context) error {
	if err := w.admin.nobody(ctx, w.Machines); err != nil {
		return fmt.Errorf("while rows were written, somebody began to process, and what the tables are now isn't known; no offset was set: %w; "+
			"stop them and run replay again", err)
	}
	return nil
}

// nobody insists that groups have no members.
func (s surveyor) nobody(ctx context.Context, machines []Machine) error {
	for _, m := range machines {
		groups, err := s.admin.DescribeGroups(ctx, m.Name)
		if err != nil {
			return fmt.Errorf("asking for the members of %s: %w", m.Name, err)
		}
		if err := groups[m.Name].Err; err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that never was has none
			return fmt.Errorf("asking for the members of %s: %w", m.Name, err)
		}
		var members []string
		for _, member := range groups[m.Name].Members {
			members = append(members, fmt.Sprintf("%s at %s", member.ClientID, strings.TrimPrefix(member.ClientHost, "/")))
		}
		if len(members) > 0 {
			slices.Sort(members)
			return fmt.Errorf("%w: %s has %s", ErrMembers, m.Name, strings.Join(members, ", "))
		}
	}
	return nil
}
